"""Muon: what it does to singular values, to stacked matrices, and beside torch's own."""

import pytest
import torch

from training.train.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(2, 32, 32), (1, 64, 16), (3, 16, 64)])
def test_all_singular_values_come_near_one_and_the_singular_vectors_stay(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    out = orthogonalised(matrices)
    values = torch.linalg.svdvals(out)
    assert values.min() > 0.3  # one that is nearly 0 is raised in five rounds, not to 1
    assert values.max() < 1.3
    assert values.median() > 0.6
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    in_its_bases = u.mT @ out @ vh.mT
    off_diagonal = in_its_bases - torch.diag_embed(in_its_bases.diagonal(dim1=-2, dim2=-1))
    assert off_diagonal.abs().max() < 1e-4


def updated(shape, gradient, **group):
    parameter = torch.nn.Parameter(torch.ones(shape))
    parameter.grad = gradient
    Muon([{"params": [parameter], **group}], lr=0.1, weight_decay=0.0).step()
    return parameter.detach()


def test_stacked_matrices_are_updated_as_if_each_stood_alone():
    gradient = torch.randn(48, 16, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [1.0, 5.0, 0.1]
    ).repeat_interleave(16).unsqueeze(1)
    together = updated((48, 16), gradient, stacked=3)
    for rows in (slice(0, 16), slice(16, 32), slice(32, 48)):
        torch.testing.assert_close(together[rows], updated((16, 16), gradient[rows]))


def test_it_follows_torchs_muon_but_for_the_precision():
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (torch.nn.Parameter(torch.ones(24, 16)) for _ in range(2))
    mine = Muon([{"params": [ours]}], lr=0.05, weight_decay=0.1)
    reference = torch.optim.Muon([theirs], lr=0.05, weight_decay=0.1)
    for _ in range(3):
        ours.grad = theirs.grad = torch.randn(24, 16, generator=generator)
        mine.step()
        reference.step()
    torch.testing.assert_close(ours, theirs, atol=0.01, rtol=0)  # bfloat16 keeps 8 bits of an update of 0.06


def stepped(gradients, share):
    """Parameters after one step of a process with this share (rank, processes)."""
    parameters = [torch.nn.Parameter(torch.ones_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    groups = [{"params": parameters[:3]}, {"params": parameters[3:], "stacked": 3}]
    Muon(groups, lr=0.1, weight_decay=0.1, share=share).step()
    return [parameter.detach() for parameter in parameters]


def test_processes_share_the_work_and_end_with_the_same(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(shape, generator=generator) for shape in [(8, 8), (8, 32), (32, 8), (24, 8), (24, 8)]]
    alone = stepped(gradients, (0, 1))
    parts = []
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: parts.append(tensor.clone()))
    stepped(gradients, (0, 2)), stepped(gradients, (1, 2))
    assert all((part == 0).sum() > 300 for part in parts)  # a part each: no matrix twice, none left out
    assert not ((parts[0] != 0) & (parts[1] != 0)).any()
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor.add_(parts[0]))
    for shared, own in zip(stepped(gradients, (1, 2)), alone, strict=True):
        assert torch.equal(shared, own)
