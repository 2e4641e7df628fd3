"""Records, an environment and a command shared by the tests of this folder."""

from pytest_diffopt.records import CountRecord, Device, Environment, PhaseCounts, Subject, Weights

SUBJECT = Subject(pipeline="sdxl", scale="full", recipe="bf16 + sdpa", weights=Weights.PRETRAINED, device=Device.CUDA)
ENVIRONMENT = Environment(device_slug="nvidia-h200", device_name="NVIDIA H200", versions={"torch": "2.13.0"})
NEWER = Environment(
    device_slug="nvidia-h200", device_name="NVIDIA H200", versions={"torch": "2.14.0", "torchao": "1.0"}
)
OTHER_GPU = Environment(device_slug="nvidia-l4", device_name="NVIDIA L4", versions={"torch": "2.13.0"})
RERUN = "pytest 'suites/test_sdxl.py::test_latency[sdxl]' --gpu"
SEEN = "pipeline sdxl (full, weights: pretrained), recipe bf16 + sdpa"
STEP = PhaseCounts(
    phase="steps 1-29",
    flops=10,
    operations=1204,
    bytes_to_device=0,
    bytes_to_host=0,
    allocated_bytes=2**20,
    peak_memory_bytes=2**30,
)
COUNTS = CountRecord(
    subject=SUBJECT, gpu_model="nvidia-h200", num_steps=30, phases=(STEP,), modules=(), attention={"flash 2x10": 70}
)
