"""From a case to something that can be run: networks of configs in torch."""

import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger, print_log
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from torch import Tensor, nn

from repnext_mm.checkpoints.loading import build_model
from repnext_mm.evaluation.benchmark.batches import training_batch
from repnext_mm.evaluation.benchmark.cases import BENCHMARK_LAYOUTS, GRAPH, OFFICIAL, Case
from repnext_mm.evaluation.benchmark.inputs import (
    arranged_for,
    images_of,
    inputs_of,
    memory_format_of,
)
from repnext_mm.evaluation.benchmark.official import has_official_form, official_copy
from repnext_mm.export.image_input import image_input
from repnext_mm.export.tasks import task_of
from repnext_mm.reparam import inference_forms
from repnext_mm.reparam.complete import batch_norms, unmergeable_batch_norms
from repnext_mm.reparam.convert import mergeable_modules
from repnext_mm.reparam.fastest import AS_IS, ROUNDS
from repnext_mm.reparam.forms import AUTO, TRAINING
from repnext_mm.reparam.loading import FormAware
from repnext_mm.reparam.primitives import primitives
from repnext_mm.timing import fastest, take_turns
from repnext_mm.trained import merged_copy, plain_copy

Run = Callable[..., object]
LEARNING_RATE = 1e-6
"""Of training steps: small enough that weights stay finite however many there are."""


@dataclass(frozen=True)
class Source:
    """Where a network comes from."""

    cfg: Config
    checkpoint: str | None = None
    """Weights of the training form; None for those of initialization."""


class Networks:
    """The models of configs, each built once, and once for each form.

    Args:
        sources: By the names that cases use.
    """

    def __init__(self, sources: Mapping[str, Source]):
        self.sources = sources
        self._models: dict[tuple[str, str], BaseModel] = {}

    def forms(self, name: str) -> tuple[str, ...]:
        """The forms of a network that differ: one without branches and batch norms has one."""
        model = self.model(name)
        if mergeable_modules(model):
            return (TRAINING, *inference_forms(model))
        merges = batch_norms(model) and not unmergeable_batch_norms(model)
        return (TRAINING, 'fused') if merges else (TRAINING,)

    def selectable_forms(self, name: str) -> tuple[str, ...]:
        """All that a case in torch can name: :meth:`forms`, ``'auto'`` and the official one."""
        forms = self.forms(name)
        auto = (AUTO,) if len(forms) > 1 else ()
        return (*forms, *auto, *((OFFICIAL,) if has_official_form(self.model(name)) else ()))

    def model(self, name: str, form: str = TRAINING) -> Any:
        """A whole model in evaluation mode on the CPU, which the caller must not change.

        Raises:
            KeyError: If there is no such network.
            ValueError: If the network does not take the form.
        """
        cfg = self.sources[name].cfg
        init_default_scope(cfg.get('default_scope', 'mmengine'))
        if (name, form) not in self._models:
            self._models[name, form] = self._made(name, form)
        return self._models[name, form]

    def forget(self) -> None:
        """Frees the memory of all models; they are built again when they are needed."""
        self._models.clear()

    def _made(self, name: str, form: str) -> Any:
        if form == TRAINING:
            return self._build(name)
        if form == OFFICIAL:
            return official_copy(self.model(name))
        return merged_copy(self.model(name), form)

    def _build(self, name: str) -> BaseModel:
        source = self.sources[name]
        torch.manual_seed(0)
        model = revert_sync_batchnorm(build_model(without_downloads(source.cfg)))
        with _fewer_logs():
            model.init_weights()
        if source.checkpoint:
            load_checkpoint(model, source.checkpoint, map_location='cpu')
        model.eval()
        return model


@contextmanager
def _fewer_logs() -> Iterator[None]:
    """Without mmengine's line for every parameter that it initializes."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def without_downloads(cfg: Config) -> Config:
    """A copy of a config whose network is initialized at random: speed does not need weights."""
    cfg = cfg.copy()
    for part in (cfg.model, cfg.model.get('backbone') or {}):
        init_cfg = part.get('init_cfg') or {}
        if isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained':
            part['init_cfg'] = None
    return cfg


def torch_run(networks: Networks, case: Case) -> Run:
    """What is timed for a case in torch, on its device, with its own weights and images."""
    if not case.primitives:
        with primitives(False):  # a CUDA graph is recorded here
            return _without_primitives(torch_run(networks, replace(case, primitives=True)))
    if case.form == AUTO:
        return _fastest_run(networks, case)
    model = plain_copy(networks.model(case.network, case.form))
    if case.step == 'training':
        return _model_step(model, case) if case.part == 'model' else _backbone_step(model, case)
    model.requires_grad_(False).to(case.device)
    return _predicts(model, case) if case.part == 'model' else _extracts(model, case)


def _without_primitives(run: Run) -> Run:
    def timed(*arguments: object) -> object:
        with primitives(False):
            return run(*arguments)

    return timed


def _fastest_run(networks: Networks, case: Case) -> Run:
    """The run of the inference form and layout that takes the least time for this case."""
    forms = networks.forms(case.network)[1:]
    layouts = BENCHMARK_LAYOUTS[1:] if case.layout == AS_IS else (case.layout,)
    runs = {
        f'{form}, {layout}': torch_run(networks, replace(case, form=form, layout=layout))
        for form in forms
        for layout in layouts
    }
    timings = take_turns(runs, ROUNDS)
    name = fastest(timings)
    found = ', '.join(f'{key} {1000 * row.median:.2f} ms' for key, row in timings.items())
    print_log(f'{case.network}, {AUTO}: {name} of {found}', 'current', logging.INFO)
    return runs[name]


def parameters(model: nn.Module) -> int:
    """The number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def _extracts(model: Any, case: Case) -> Run:
    """A run of the backbone, on normalized images, or on images as files take them."""
    network: Any = arranged_for(model.backbone, case)
    if case.from_images:
        image = image_input(model.data_preprocessor, getattr(torch, case.dtype)).to(case.device)
        network = nn.Sequential(image, network)
        inputs = torch.from_numpy(images_of(case))
        if case.device != 'cpu':
            inputs = inputs.pin_memory()
    else:
        inputs = inputs_of(case)
    if case.compiler == GRAPH:
        return _graph(network, inputs.to(case.device))
    if case.compiler:
        network = torch.compile(network, mode=case.compiler)

    @torch.inference_mode()
    def run(*_: object) -> None:
        network(inputs.to(case.device))

    return run


def _graph(network: nn.Module, inputs: Tensor) -> Run:
    """One CUDA graph of the network, recorded after it has run on another stream.

    Raises:
        ValueError: If the images are not on a GPU.
    """
    if inputs.device.type != 'cuda':
        raise ValueError(f'compiler={GRAPH!r} needs a CUDA device, got {inputs.device}')
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad():
        with torch.cuda.stream(stream):
            for _ in range(3):
                network(inputs)
        torch.cuda.current_stream().wait_stream(stream)
        # Nobody reads the features, so the graphs of all rows may write to the same memory.
        with torch.cuda.graph(graph, pool=_graph_memory()):
            network(inputs)
    return lambda *_: graph.replay()


@functools.cache
def _graph_memory() -> Any:
    return torch.cuda.graph_pool_handle()


def _predicts(model: Any, case: Case) -> Run:
    """A run of a whole model with post-processing, by its package's own code."""
    if case.layout != 'as-is':
        model.to(memory_format=memory_format_of(case))
    precision = torch.autocast(
        torch.device(case.device).type,
        getattr(torch, case.dtype),
        enabled=case.dtype != 'float32',
    )
    batch = None if case.shape is None else _test_batch(model, case)

    @torch.inference_mode()
    def run(batches: list | None = None) -> None:
        with precision:
            for data in batches if batch is None and batches is not None else [batch]:
                model.test_step(data)

    return run


def _test_batch(model: Any, case: Case) -> dict[str, Any]:
    assert case.shape is not None
    task = task_of(model)
    bgr = np.ascontiguousarray(images_of(case)[..., ::-1].transpose(0, 3, 1, 2))
    images = torch.from_numpy(bgr)
    inputs = images if task.package == 'mmpretrain' else list(images)
    samples = [task.new_sample(case.shape) for _ in range(case.batch)]
    return dict(inputs=inputs, data_samples=samples)


def _trainable(model: nn.Module) -> nn.Module:
    """A network in training mode; a merged one with gradients, for the bound that it sets."""
    for module in model.modules():
        if isinstance(module, FormAware):
            module.finetune_deployed = True
    model.requires_grad_(True)
    model.train()  # in mmpretrain it does not return the model
    return model


def _backbone_step(model: Any, case: Case) -> Run:
    """Forward, backward and optimizer step of a backbone; the loss is the mean of the squares."""
    backbone = _trainable(arranged_for(model.backbone, case))
    optimizer = torch.optim.AdamW(backbone.parameters(), lr=LEARNING_RATE)
    inputs = inputs_of(case)
    network: Any = torch.compile(backbone, mode=case.compiler) if case.compiler else backbone

    def run(*_: object) -> None:
        features = network(inputs)
        features = [features] if isinstance(features, Tensor) else features
        torch.stack([feature.float().square().mean() for feature in features]).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    return run


def _model_step(model: Any, case: Case) -> Run:
    """The package's own training step on a generated batch with ground truth."""
    assert case.shape is not None
    model = _trainable(model.to(case.device))
    wrapper = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE))
    task = task_of(model)

    def run(*_: object) -> None:
        model.train_step(training_batch(task.package, case.shape, case.batch), wrapper)

    return run
