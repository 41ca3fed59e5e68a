"""Precision of a model's answers in training."""

import torch

from lvsm_engine.model.checkpoint import build_model
from training.batches.steps import FramedBatch
from training.train.prediction import predict


def test_products_are_computed_in_the_chosen_precision_and_images_are_float32(config):
    model = build_model(config.model)
    torch.nn.init.normal_(model.to_pixels[1].weight)
    generator = torch.Generator().manual_seed(0)
    rays = torch.nn.functional.normalize(torch.randn(1, 3, 6, 16, 16, generator=generator), dim=2)
    images = torch.rand(1, 3, 3, 16, 16, generator=generator)
    batch = FramedBatch(images[:, :2], rays[:, :2], rays[:, 2:], images[:, 2:])
    exact = predict(model, batch, torch.float32)
    coarse = predict(model, batch, torch.bfloat16)
    assert exact.dtype == coarse.dtype == torch.float32
    assert torch.equal(exact, model(images[:, :2], rays[:, :2], rays[:, 2:]))
    assert 1e-5 < (exact - coarse).abs().max() < 0.1
