"""Measures the same computations as `prospr bench` in PyTorch, under the same names:

    pip install torch && python benches/pytorch.py kernels > pytorch.json
    prospr bench kernels --device cpu --beside pytorch.json

Sizes are those of `prospr bench` on a CPU, or with `--device cuda` on a GPU. Networks: resnet-20 and resnet-18, for images of 32 × 32.
"""

import argparse
import json
import platform
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("what", choices=["kernels", "train", "meta"])
parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
parser.add_argument("--threads", type=int, help="number of CPU threads (default: all)")
parser.add_argument("--tf32", action="store_true", help="allow TF32 (10-bit mantissas) in matrix products, on GPUs that have it")
parser.add_argument("--model", choices=["resnet-20", "resnet-18"], default="resnet-20")
parser.add_argument("--batch", type=int)
parser.add_argument("--steps", type=int, default=3)
parser.add_argument("--repeats", type=int, default=10)
args = parser.parse_args()

if args.threads:
    torch.set_num_threads(args.threads)
torch.backends.cuda.matmul.allow_tf32 = args.tf32
torch.backends.cudnn.allow_tf32 = args.tf32
torch.backends.cudnn.benchmark = True
torch.manual_seed(0)
GPU = args.device == "cuda"
NAME = torch.cuda.get_device_name() if GPU else f"{platform.machine()}, {torch.get_num_threads()} threads"
rows = []


# ---- timing


def synchronize():
    if GPU:
        torch.cuda.synchronize()


def measure(work, allowed=5.0):
    """Returns the time of the first execution, and median, minimum and number of the other times, in seconds."""

    def timed(times):
        start = time.perf_counter()
        for _ in range(times):
            work()
        synchronize()
        return time.perf_counter() - start

    synchronize()
    first = timed(1)
    if GPU:
        torch.cuda.reset_peak_memory_stats()
    begin = time.perf_counter()
    again = timed(1)
    times = min(max(round(0.02 / again), 1), 200)
    seconds = [again] if times == 1 else []
    while not seconds or (len(seconds) < args.repeats and time.perf_counter() - begin < allowed):
        seconds.append(timed(times) / times)
    return first, statistics.median(seconds), min(seconds), len(seconds)


def add(name, size, work, flops=None, traffic=None, first=False, allowed=5.0, **more):
    cold, seconds, shortest, repeats = measure(work, allowed)
    row = {"name": name, "size": "x".join(map(str, size)), "ms": seconds * 1e3}
    row |= {"min_ms": shortest * 1e3, "repeats": repeats, **more}
    if first:
        row["first_ms"] = cold * 1e3
    if flops:
        row |= {"flops": flops, "tflops": flops / seconds / 1e12}
    if traffic:
        row |= {"bytes": traffic, "gbps": traffic / seconds / 1e9}
    if GPU:
        row["peak_bytes"] = torch.cuda.max_memory_allocated()
    row["device"] = f"PyTorch {torch.__version__}, {NAME}" + (", TF32" if args.tf32 else "")
    rows.append(row)
    return seconds


def draw(*shape):
    return torch.rand(shape, device=args.device) - 0.5


# ---- kernels


def kernels():
    batch = args.batch or (256 if GPU else 8)
    many, weights, n = 1 << 24, 1 << (23 if GPU else 20), 4096 if GPU else 512
    x, out = draw(many), torch.empty(many, device=args.device)
    add("copy", [many], lambda: out.copy_(x), traffic=8 * many)
    a, b = draw(n, n), draw(n, n)
    add("matmul", [n, n, n], lambda: a @ b, flops=2 * n**3)
    for start, end, side, stride in [(64, 64, 32, 1), (128, 128, 16, 1), (256, 256, 8, 1), (64, 128, 32, 2)]:
        convolution(batch, start, end, side, stride)

    images, gamma, beta, dy = draw(batch, 64, 32, 32), draw(64), draw(64), draw(batch, 64, 32, 32)
    shape, size = images.shape, 4 * images.numel()

    def norm(x, gamma, beta):
        return F.batch_norm(x, None, None, gamma, beta, training=True)

    add("batch norm, training", shape, lambda: norm(images, gamma, beta), traffic=2 * size)
    leaves = [t.clone().requires_grad_() for t in (images, gamma, beta)]
    both = lambda: torch.autograd.grad(norm(*leaves), leaves, dy)
    add("batch norm, training, with gradient", shape, both, traffic=4 * size)

    matrix = draw(many // 1024, 1024)
    add("sum, last axis", matrix.shape, lambda: matrix.sum(1), traffic=4 * many)
    add("sum, all axes", matrix.shape, lambda: matrix.sum(), traffic=4 * many)
    add("sum, all axes but channels", shape, lambda: images.sum((0, 2, 3)), traffic=size)
    add("relu", [many], lambda: x.relu(), traffic=8 * many)

    pooled, at = F.max_pool2d(images, 2, return_indices=True)
    small = draw(*pooled.shape)
    traffic = size + 4 * pooled.numel()
    back = lambda: torch.ops.aten.max_pool2d_with_indices_backward(
        small, images, [2, 2], [2, 2], [0, 0], [1, 1], False, at
    )
    add("max pool 2x2", shape, lambda: F.max_pool2d(images, 2, return_indices=True), traffic=traffic)
    add("max pool 2x2, gradient", shape, back, traffic=traffic + 4 * pooled.numel())

    logits, labels = draw(batch, 1000).requires_grad_(), torch.arange(batch, device=args.device) % 1000
    loss = lambda: torch.autograd.grad(F.cross_entropy(logits, labels), logits)
    add("softmax cross-entropy, with gradient", logits.shape, loss, traffic=8 * logits.numel())

    w, dw, momentum, mask = (draw(weights) for _ in range(4))

    def sgd():
        buffer = momentum * 0.9 + (dw + w * 5e-4)
        return (w - buffer * 0.1) * mask, buffer

    add("SGD with momentum and mask", [weights], sgd, traffic=24 * weights)
    kept = -(-weights * 2 // 100)
    add("mask of the best 2 %", [weights], lambda: w >= w.topk(kept).values[-1], traffic=4 * weights)


def convolution(batch, start, end, side, stride):
    x, w = draw(batch, start, side, side), draw(end, start, 3, 3)
    y = F.conv2d(x, w, stride=stride, padding=1)
    dy = draw(*y.shape)
    name = f"conv 3x3 {start}-{end} at {side}x{side}" + (" stride 2" if stride == 2 else "")
    flops = 2 * y.numel() * 9 * start

    def back(dx, dw):
        geometry = [stride] * 2, [1, 1], [1, 1], False, [0, 0], 1
        return torch.ops.aten.convolution_backward(dy, x, w, None, *geometry, [dx, dw, False])

    forward = lambda: F.conv2d(x, w, stride=stride, padding=1)
    add(name, x.shape, forward, flops=flops, direction="forward")
    add(name, x.shape, lambda: back(True, False), flops=flops, direction="input_grad")
    add(name, x.shape, lambda: back(False, True), flops=flops, direction="weight_grad")


# ---- networks


class Block(nn.Module):
    def __init__(self, start, end, stride, project):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(start, end, 3, stride, 1, bias=False), nn.BatchNorm2d(end)
        self.conv2, self.bn2 = nn.Conv2d(end, end, 3, 1, 1, bias=False), nn.BatchNorm2d(end)
        self.new, self.changes, self.project = end - start, stride != 1 or start != end, None
        if project and self.changes:
            self.project = nn.Sequential(nn.Conv2d(start, end, 1, stride, bias=False), nn.BatchNorm2d(end))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.project is not None:
            x = self.project(x)
        elif self.changes:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.new // 2, self.new - self.new // 2))
        return F.relu(x + y)


class ResNet(nn.Module):
    """ResNet with a 3×3 stem. ResNet-20 pads its shortcuts (option A), ResNet-18 projects them."""

    def __init__(self, widths, blocks, project):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0])
        layers, start = [], widths[0]
        for stage, width in enumerate(widths):
            for block in range(blocks):
                layers.append(Block(start, width, 2 if stage and not block else 1, project))
                start = width
        self.layers, self.linear = nn.Sequential(*layers), nn.Linear(start, 10)

    def forward(self, x):
        return self.linear(self.layers(F.relu(self.bn1(self.conv1(x)))).mean((2, 3)))


def subject():
    widths, blocks, project = {
        "resnet-20": ([16, 32, 64], 3, False),
        "resnet-18": ([64, 128, 256, 512], 2, True),
    }[args.model]
    net = ResNet(widths, blocks, project).to(args.device)
    batch = args.batch or 128
    return net, torch.randn(batch, 3, 32, 32, device=args.device), torch.arange(batch, device=args.device) % 10


def forward_flops(net, x):
    """Returns the FLOPs of a forward pass and of its first convolution."""
    counts = []

    def count(layer, inputs, output):
        weight = layer.weight
        pixels = output.numel() // output.shape[1]
        counts.append(2 * pixels * weight.numel())

    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return sum(counts), counts[0]


def train():
    net, x, y = subject()
    total, first = forward_flops(net, x[:2])
    # The gradient of the images is not computed.
    flops = (3 * total - first) * len(x) // 2
    sgd = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)

    def step():
        sgd.zero_grad()
        F.cross_entropy(net(x), y).backward()
        sgd.step()

    seconds = add(f"train {args.model}", x.shape, step, flops=flops, first=True, allowed=120)
    rows[-1]["images_per_second"] = len(x) / seconds


def meta():
    """ProsPr's exact meta-gradient: equation 11 of Alizadeh et al. (2022), with all activations kept."""
    net, x, y = subject()
    init = {name: p.detach() for name, p in net.named_parameters()}
    loss = lambda w: F.cross_entropy(functional_call(net, w, (x,)), y)

    def gradient():
        masks = {name: torch.ones_like(p, requires_grad=True) for name, p in init.items() if p.dim() > 1}
        w = {n: masks[n] * p if n in masks else p.clone().requires_grad_() for n, p in init.items()}
        for _ in range(args.steps):
            grads = torch.autograd.grad(loss(w), list(w.values()), create_graph=True)
            w = {name: p - 0.1 * g for (name, p), g in zip(w.items(), grads)}
        return torch.autograd.grad(loss(w), list(masks.values()))

    add(f"meta {args.model}", x.shape, gradient, first=True, allowed=120, steps=args.steps)


{"kernels": kernels, "train": train, "meta": meta}[args.what]()
print(json.dumps(rows, indent=2))
