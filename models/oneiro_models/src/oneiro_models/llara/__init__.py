"""LLaRA: a language model that has learned taste, and oneiro-lm, the small one that it is shown on.

Liao et al., "LLaRA: Large Language-Recommendation Assistant", SIGIR 2024, arXiv 2312.02445; the authors' code is
ljy0ustc/LLaRA. Stage 1 (`pretrain.py`) makes a small Llama of histories written as titles; stage 2 (`tune.py`) teaches it,
by low-rank adapters and a projector of a recommender's item rows, to choose the next item from a list (`judge.py`).
"""
