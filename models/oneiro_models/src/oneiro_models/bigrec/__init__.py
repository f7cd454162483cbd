"""BIGRec: a language model writes a title, and items near to it are recommended.

Bao et al., "A Bi-Step Grounding Paradigm for Large Language Models in Recommendation Systems", arXiv 2308.08434. The model is
tuned to write the next title after an instruction (`tune`); the model without that makes a point of what was written and of every
title of the catalog (`ground`), and distances are weighed by popularity or by another recommender.
"""
