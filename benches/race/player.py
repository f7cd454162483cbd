"""The race in Python: onnxruntime and numpy, and faiss for the scan. The questions and answers are those of player.h.

`player.py FOLDER THREADS numpy|flat|sq8` plays; `player.py FOLDER prepare` writes what the player in C loads.
"""

import json
import struct
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

USERS, LENGTH, COUNT = 64, 50, 100


class Table:
    """The item table of a bundle, mapped."""

    def __init__(self, folder: Path):
        path = folder / "bundle" / "items.safetensors"
        with open(path, "rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            entry = json.loads(file.read(size))["rows"]
        self.rows = np.memmap(path, np.float32, "r", 8 + size + entry["data_offsets"][0], tuple(entry["shape"]))


class Numpy:
    """The encoder by onnxruntime, then a product, argpartition and a sort."""

    def __init__(self, folder: Path, threads: int):
        self.rows = Table(folder).rows
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        model = str(folder / "encoder.optimised.onnx")
        self.encoder = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def states(self, histories: np.ndarray) -> np.ndarray:
        length = np.full(len(histories), LENGTH, np.int64)
        return self.encoder.run(["state"], {"rows": self.rows[histories], "length": length})[0]

    def scan(self, states: np.ndarray, histories: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores = states @ self.rows.T
        np.put_along_axis(scores, histories.astype(np.int64), -np.inf, 1)
        best = np.argpartition(scores, -COUNT)[:, -COUNT:]
        found = np.take_along_axis(scores, best, 1)
        order = np.argsort(-found)
        return np.take_along_axis(best, order, 1), np.take_along_axis(found, order, 1)


class Faiss(Numpy):
    """The scan by an index of faiss; so many more are asked for as may be seen."""

    def __init__(self, folder: Path, threads: int, kind: str):
        import faiss

        super().__init__(folder, threads)
        faiss.omp_set_num_threads(threads)
        rows, width = np.ascontiguousarray(self.rows), self.rows.shape[1]
        if kind == "flat":
            self.index = faiss.IndexFlatIP(width)
        else:
            self.index = faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
            self.index.train(rows)
        self.index.add(rows)

    def scan(self, states: np.ndarray, histories: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores, items = self.index.search(states, COUNT + LENGTH)
        admitted = [~np.isin(items[user], histories[user]) for user in range(len(states))]
        first = [np.flatnonzero(admitted[user])[:COUNT] for user in range(len(states))]
        return np.take_along_axis(items, np.stack(first), 1), np.take_along_axis(scores, np.stack(first), 1)


def prepare(folder: Path) -> None:
    """The encoder with ONNX Runtime's optimisations applied, and the scan as a graph."""
    import onnx
    from onnx import TensorProto, external_data_helper, helper

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "encoder.optimised.onnx")
    model = onnx.load(folder / "bundle" / "encoder.onnx")  # with its weights, which then stand in the model
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    rows = Table(folder).rows
    columns = np.ascontiguousarray(rows.T)
    columns.tofile(folder / "topk.weights")
    weights = TensorProto(name="columns", dims=columns.shape, data_type=TensorProto.FLOAT, raw_data=b"")
    external_data_helper.set_external_data(weights, "topk.weights", 0, columns.nbytes)
    weights.ClearField("raw_data")
    more = helper.make_tensor("more", TensorProto.INT64, [1], [COUNT + LENGTH])
    states = helper.make_tensor_value_info("states", TensorProto.FLOAT, ["users", rows.shape[1]])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["users", COUNT + LENGTH])
    items = helper.make_tensor_value_info("items", TensorProto.INT64, ["users", COUNT + LENGTH])
    nodes = [
        helper.make_node("MatMul", ["states", "columns"], ["all"]),
        helper.make_node("TopK", ["all", "more"], ["scores", "items"]),
    ]
    graph = helper.make_graph(nodes, "topk", [states], [scores, items], [weights, more])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), folder / "topk.onnx")


def play(folder: Path, threads: int, kind: str) -> None:
    player = Numpy(folder, threads) if kind == "numpy" else Faiss(folder, threads, kind)
    histories = np.fromfile(folder / "histories", np.uint32).reshape(USERS, LENGTH)

    def recommend(users: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], int]:
        states = player.states(users)
        start = time.perf_counter_ns()
        return player.scan(states, users), time.perf_counter_ns() - start

    recommend(histories[:1])
    print("ready", flush=True)
    user = 0
    for line in sys.stdin:
        verb, word = (line.split() + [""])[:2]
        if verb == "answers":
            groups = [histories] if word == "many" else [histories[user : user + 1] for user in range(USERS)]
            for items, scores in (recommend(group)[0] for group in groups):
                for row in range(len(items)):
                    print(*(f"{item}:{score:.9g}" for item, score in zip(items[row], scores[row])))
        else:
            times = []
            for _ in range(int(word)):
                user = (user + 1) % USERS
                start = time.perf_counter_ns()
                _, scan = recommend(histories if verb == "many" else histories[user : user + 1])
                times.append(scan if verb == "scan" else time.perf_counter_ns() - start)
            print(*times)
        sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[2:] == ["prepare"]:
        prepare(Path(sys.argv[1]))
    else:
        play(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
