"""The export `classify` of examples/mlp.smelt in ONNX Runtime: python onnx_peer.py onnx serveN THREADS, for N rows.

Speaks as torch_peer.py does.
"""
import json
import sys
import time

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

BATCH, THREADS = int(sys.argv[2].removeprefix("serve")), int(sys.argv[3])
SIZES = (784, 256, 256, 10)


def model():
    rng = numpy.random.default_rng(1)
    nodes, weights, value = [], [], "x"
    for k, (n_in, n_out) in enumerate(zip(SIZES, SIZES[1:])):
        w, b = rng.uniform(-0.05, 0.05, (n_in, n_out)).astype("float32"), numpy.zeros(n_out, "float32")
        weights += [numpy_helper.from_array(w, f"w{k}"), numpy_helper.from_array(b, f"b{k}")]
        nodes.append(helper.make_node("Gemm", [value, f"w{k}", f"b{k}"], [f"h{k}"]))
        value = f"h{k}"
        if k + 2 < len(SIZES):
            nodes.append(helper.make_node("Relu", [value], [f"r{k}"]))
            value = f"r{k}"
    nodes.append(helper.make_node("Softmax", [value], ["y"], axis=1))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [BATCH, SIZES[0]])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [BATCH, SIZES[-1]])
    graph = helper.make_graph(nodes, "classify", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
session = onnxruntime.InferenceSession(model().SerializeToString(), options, providers=["CPUExecutionProvider"])
# Bound once, so that a call copies nothing.
binding = session.io_binding()
binding.bind_cpu_input("x", numpy.random.default_rng(2).random((BATCH, SIZES[0]), dtype="float32"))
binding.bind_output("y")


def run(steps):
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        session.run_with_iobinding(binding)
        times.append((time.perf_counter() - start) * 1e3)
    return times


run(200)
print("ready", flush=True)
for line in sys.stdin:
    cpu = time.process_time()
    times = run(int(line))
    print(json.dumps({"ms": times, "cpu_ms": (time.process_time() - cpu) * 1e3 / len(times)}), flush=True)
