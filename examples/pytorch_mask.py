"""Loads the weights and the mask of a run into PyTorch: python examples/pytorch_mask.py runs/lenet-5-prospr-0.98"""

import sys
from collections import OrderedDict

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils import prune

net = nn.Sequential(OrderedDict(
    conv1=nn.Conv2d(1, 20, 5), relu1=nn.ReLU(), pool1=nn.MaxPool2d(2),
    conv2=nn.Conv2d(20, 50, 5), relu2=nn.ReLU(), pool2=nn.MaxPool2d(2), flatten=nn.Flatten(),
    fc1=nn.Linear(800, 500), relu3=nn.ReLU(), fc2=nn.Linear(500, 10),
))
net.load_state_dict(load_file(f"{sys.argv[1]}/model.safetensors"))
for name, mask in load_file(f"{sys.argv[1]}/mask.safetensors").items():
    layer, _, parameter = name.rpartition(".")
    prune.custom_from_mask(net.get_submodule(layer), parameter, mask)
    print(f"{name}: {int(mask.sum())} of {mask.numel()} stay")
print(f"logits of a black image: {net(torch.zeros(1, 1, 28, 28)).tolist()}")
