"""Why an item is recommended, in sentences that name what of the history raises its score. Ours, of no paper.

An item of the history counts as much as the score falls without it (`attribution`). A language model is tuned on sentences that
name the strongest two and the genres that they share (`sentences`, `tune`); a bundle has it choose among nothing else. What the
naming is worth is how much further the score falls without the named items than without others (`evaluate`).
"""
