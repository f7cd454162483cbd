"""What one would use instead: onnxruntime-genai and llama.cpp, by the best that their public interfaces can do.

`peer.py genai FOLDER THREADS` or `peer.py llama FILE THREADS [f32] [plain]` plays: it opens its model, says how long that took
until a first row was read, in ns, then reads lines and answers each with one, as `ours.rs` does. `f32`: keys and values, too;
`plain`: without flash attention, which llama.cpp takes by itself, to read faster and write slower.

    titles T T … | T T … | …     the tokens of the titles, in sets of 20                       ok
    logits ROWS                  after a prompt                                                V numbers
    scores ROWS                  of the first set, after the same prompt                       20 numbers
    prefill ROWS N               N other prompts, until the logits of the last row are there   N times in ns
    decode ROWS TOKENS N         so many tokens, the likeliest, after N other prompts          N times in ns
    cold ROWS N                  the scores of a set after a prompt, both new                  N times in ns
    warm ROWS N                  the scores of a set after the same prompt                     N times in ns
    memory                       private and shared bytes that are in memory
"""

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

TITLES = 20
"""In a set."""
CONTEXT = 1024
SPECIAL = 4
"""Tokens that no prompt has."""


def prompt(number: int, rows: int, vocabulary: int) -> np.ndarray:
    """As in `ours.rs`; no two begin alike."""
    places = np.arange(rows, dtype=np.int64)
    return (SPECIAL + (number * 977 + places * (places + 31) * 13) % (vocabulary - SPECIAL)).astype(np.int32)


def shown(numbers) -> str:
    return " ".join(f"{number:.9g}" for number in numbers)


class Genai:
    """onnxruntime-genai: one sequence, rewound to the end of the prompt after each title."""

    LASTING = True
    """Whether logits outlast the next run."""

    def __init__(self, folder: str, threads: int, *how: str):
        import onnxruntime_genai as og

        config = og.Config(folder)
        config.overlay(f'{{"model": {{"decoder": {{"session_options": {{"intra_op_num_threads": {threads}}}}}}}}}')
        self.model = og.Model(config)
        search = og.GeneratorParams(self.model)
        search.set_search_options(max_length=CONTEXT, do_sample=False)
        self.generator = og.Generator(self.model, search)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """After these alone."""
        self.generator.rewind_to(0)
        return self.follow(rows)[-1]

    def follow(self, rows: np.ndarray) -> np.ndarray:
        self.generator.append_tokens(rows)
        return self.generator.get_output("logits")[0]

    def write(self, count: int) -> None:
        for _ in range(count):
            self.generator.generate_next_token()

    def ways(self) -> dict[str, Callable]:
        return {"rewound": self.rewound}

    def rewound(self, before: int, titles: list[np.ndarray], take: Callable) -> None:
        for place, title in enumerate(titles):
            take(place, self.follow(title[:-1]))
            self.generator.rewind_to(before)


class Llama:
    """llama.cpp: sequences that share the cells of the prompt, all in one batch; or one, shortened after each title."""

    LASTING = False

    def __init__(self, file: str, threads: int, *how: str):
        import llama_cpp

        self.c = c = llama_cpp
        self.silent = c.llama_log_callback(lambda level, text, data: None)
        c.llama_log_set(self.silent, None)
        c.llama_backend_init()
        self.model = c.llama_model_load_from_file(file.encode(), c.llama_model_default_params())
        options = c.llama_context_default_params()
        options.n_ctx, options.n_batch, options.n_ubatch, options.n_seq_max = CONTEXT, 512, 512, TITLES + 1
        options.n_threads = options.n_threads_batch = threads
        options.kv_unified = True
        if "plain" in how:
            options.flash_attn_type = c.LLAMA_FLASH_ATTN_TYPE_DISABLED
        if "f32" in how:
            options.type_k = options.type_v = c.GGML_TYPE_F32
        self.context = c.llama_init_from_model(self.model, options)
        self.memory = c.llama_get_memory(self.context)
        self.vocabulary = c.llama_vocab_n_tokens(c.llama_model_get_vocab(self.model))
        self.batch = c.llama_batch_init(options.n_batch, 0, 1)
        self.length = 0

    def run(self, rows: np.ndarray, positions: np.ndarray, sequences: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """The logits [R, V] of those rows that are asked for, until the next run."""
        batch, count = self.batch, len(rows)
        view = np.ctypeslib.as_array
        view(batch.token, (count,))[:] = rows
        view(batch.pos, (count,))[:] = positions
        view(batch.n_seq_id, (count,))[:] = 1
        view(batch.logits, (count,))[:] = asked
        for row, sequence in enumerate(sequences.tolist()):
            batch.seq_id[row][0] = sequence
        batch.n_tokens = count
        if self.c.llama_decode(self.context, batch):
            raise RuntimeError("llama_decode failed")
        return view(self.c.llama_get_logits(self.context), (int(asked.sum()), self.vocabulary))

    def read(self, rows: np.ndarray) -> np.ndarray:
        self.c.llama_memory_clear(self.memory, False)
        self.length = 0
        last = np.arange(len(rows)) == len(rows) - 1
        return self.follow(rows, last)[-1]

    def follow(self, rows: np.ndarray, asked: np.ndarray | None = None) -> np.ndarray:
        positions = self.length + np.arange(len(rows))
        asked = np.ones(len(rows), bool) if asked is None else asked
        self.length += len(rows)
        self.last = self.run(rows, positions, np.zeros(len(rows), int), asked)
        return self.last

    def write(self, count: int) -> None:
        for _ in range(count):
            self.follow(self.last[-1:].argmax(1))

    def ways(self) -> dict[str, Callable]:
        return {"one batch": self.together, "rewound": self.rewound}

    def together(self, before: int, titles: list[np.ndarray], take: Callable) -> None:
        rows = [title[:-1] for title in titles]
        lengths = [len(row) for row in rows]
        for sequence in range(1, len(titles) + 1):
            self.c.llama_memory_seq_cp(self.memory, 0, sequence, -1, -1)
        positions = before + np.concatenate([np.arange(length) for length in lengths])
        sequences = np.repeat(np.arange(1, len(titles) + 1), lengths)
        logits = self.run(np.concatenate(rows), positions, sequences, np.ones(sum(lengths), bool))
        for place, found in enumerate(np.split(logits, np.cumsum(lengths)[:-1])):
            take(place, found)
        for sequence in range(1, len(titles) + 1):
            self.c.llama_memory_seq_rm(self.memory, sequence, -1, -1)

    def rewound(self, before: int, titles: list[np.ndarray], take: Callable) -> None:
        for place, title in enumerate(titles):
            take(place, self.follow(title[:-1]))
            self.c.llama_memory_seq_rm(self.memory, 0, before, -1)
            self.length = before


class Player:
    def __init__(self, peer: Genai | Llama, threads: int):
        self.peer, self.threads = peer, ThreadPoolExecutor(threads)
        self.calls, self.held, self.way = 0, 0, None
        self.vocabulary = len(peer.read(np.array([SPECIAL], np.int32)))

    def read(self, rows: np.ndarray) -> None:
        """Keeps the logits of the last row: the next run takes the place of the peer's own."""
        self.held = 0
        self.last = self.peer.read(rows).copy()

    def other(self, rows: int) -> np.ndarray:
        self.calls += 1
        return prompt(self.calls, rows, self.vocabulary)

    def new_titles(self) -> list[np.ndarray]:
        self.calls += 1
        return self.sets[self.calls % len(self.sets)]

    def score(self, way: Callable, before: int, titles: list[np.ndarray]) -> np.ndarray:
        """log p of each title after what has been read; logits are made likelihoods while others are computed."""
        scores, waiting = np.zeros((len(titles), max(map(len, titles)))), []

        def likelihood(place: int, at: int, logits: np.ndarray) -> None:
            top = logits.max()
            scores[place, at] = logits[titles[place][at]] - top - np.log(np.exp(logits - top).sum(dtype=np.float64))

        def take(place: int, found: np.ndarray) -> None:
            waiting.extend(self.threads.submit(likelihood, place, at + 1, row) for at, row in enumerate(found))
            if not self.peer.LASTING:
                finish()

        def finish() -> None:
            for job in waiting:
                job.result()
            waiting.clear()

        top = self.last.max()
        scores[:, 0] = self.last[[title[0] for title in titles]] - top
        scores[:, 0] -= np.log(np.exp(self.last - top).sum(dtype=np.float64))
        way(before, titles, take)
        finish()
        return scores.sum(1)

    def best(self, rows: int) -> Callable:
        """The way to score that is the faster one here."""
        if self.way is None:
            taken, ways = {}, self.peer.ways()
            self.read(self.other(rows))
            for name in [*ways, *ways]:
                taken[name] = timed(self.score, ways[name], rows, self.new_titles())
            self.way = ways[min(taken, key=taken.get)]
            if len(taken) > 1:
                print(*(f"{name} {time / 1e6:.1f} ms" for name, time in taken.items()), sep=", ", file=sys.stderr)
        return self.way

    def prefill(self, rows: int) -> int:
        asked, self.held = self.other(rows), 0
        return timed(self.peer.read, asked)

    def decode(self, rows: int, tokens: int) -> int:
        self.read(self.other(rows))
        self.peer.write(1)
        return timed(self.peer.write, tokens)

    def cold(self, rows: int) -> int:
        way, asked, titles = self.best(rows), self.other(rows), self.new_titles()
        return timed(lambda: (self.read(asked), self.score(way, rows, titles)))

    def warm(self, rows: int) -> int:
        way = self.best(rows)
        if self.held != rows:
            self.read(prompt(0, rows, self.vocabulary))
            self.held = rows
        titles = self.new_titles()
        return timed(self.score, way, rows, titles)

    def answer(self, verb: str, *words: str) -> str:
        if verb == "titles":
            titles = [np.array(title.split(), np.int32) for title in " ".join(words).split("|")]
            self.sets = [titles[start : start + TITLES] for start in range(0, len(titles), TITLES)]
            return "ok"
        if verb == "memory":
            return " ".join(map(str, memory()))
        numbers = [int(word) for word in words]
        if verb in ("logits", "scores"):
            way = self.best(*numbers) if verb == "scores" else None
            self.read(prompt(0, *numbers, self.vocabulary))
            return shown(self.score(way, *numbers, self.sets[0]) if way else self.last)
        *sizes, count = numbers
        return " ".join(str(getattr(self, verb)(*sizes)) for _ in range(count))


def timed(call: Callable, *of) -> int:
    start = time.perf_counter_ns()
    call(*of)
    return time.perf_counter_ns() - start


def memory() -> tuple[int, int]:
    """Anonymous pages, and those of files, which other processes can share."""
    lines = (line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    kibibytes = {words[0]: int(words[1]) for words in lines}
    private = kibibytes["Anonymous:"]
    return private * 1024, (kibibytes["Rss:"] - private) * 1024


def main() -> None:
    kind, file, threads, *rest = sys.argv[1:]
    # Not part of opening.
    __import__({"genai": "onnxruntime_genai", "llama": "llama_cpp"}[kind])
    start = time.perf_counter_ns()
    peer = {"genai": Genai, "llama": Llama}[kind](file, int(threads), *rest)
    player = Player(peer, int(threads))
    print(time.perf_counter_ns() - start, flush=True)
    for line in sys.stdin:
        print(player.answer(*line.split()), flush=True)
    # Neither library likes to be taken down by Python.
    os._exit(0)


if __name__ == "__main__":
    main()
