"""RecInterpreter: a language model says in titles what a recommender's states mean.

Yang et al., "Large Language Model Can Interpret Latent Space of Sequential Recommender", arXiv 2310.20487. A linear layer makes a
row of a state, which stands in a prompt where a token would (`prompts`); it is trained on the answers to three questions
(`tune`), which are then counted and ranked among the whole catalog (`evaluate`).
"""
