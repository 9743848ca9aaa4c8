"""engine/frontends/check.py: what code can get wrong; what files can is in test_tiny_training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import NetworkFileError
from engine.frontends import Backbone
from engine.frontends.backbone import LayerQuantization
from engine.frontends.check import check_backbone


def test_a_whole_backbone_passes(backbone: Backbone) -> None:
    check_backbone(backbone)


def test_the_input_size_is_the_stems(backbone: Backbone) -> None:
    with pytest.raises(NetworkFileError, match="stem: input size is 16, expected 32"):
        check_backbone(replace(backbone, input_size=32))


def test_the_stem_reads_colours(backbone: Backbone) -> None:
    gray = replace(backbone.stem, weight=np.zeros((4, 1, 3, 3), np.int8))
    with pytest.raises(NetworkFileError, match="stem: input channels is 1, expected 3"):
        check_backbone(replace(backbone, stem=gray))


def test_a_missing_block_breaks_the_chain(backbone: Backbone) -> None:
    with pytest.raises(NetworkFileError, match=r"block01\.pointwise1: input channels is 2, expected 4"):
        check_backbone(replace(backbone, blocks=backbone.blocks[1:]))


def test_pointwise_layers_have_kernel_one(backbone: Backbone) -> None:
    block = backbone.blocks[1]
    assert block.pointwise2 is not None
    wide = replace(block.pointwise2, weight=np.zeros((2, 6, 3, 3), np.int8))
    with pytest.raises(NetworkFileError, match=r"block01\.pointwise2: kernel size is 3, expected 1"):
        check_backbone(replace(backbone, blocks=(backbone.blocks[0], replace(block, pointwise2=wide))))


def test_the_sum_is_what_the_next_layer_reads(backbone: Backbone) -> None:
    block = backbone.blocks[1]
    assert block.residual is not None
    other = replace(block.residual, output=LayerQuantization(0.08, -5))
    with pytest.raises(NetworkFileError, match=r"classifier: it reads its input with scale 0\.07"):
        check_backbone(replace(backbone, blocks=(backbone.blocks[0], replace(block, residual=other))))


@pytest.mark.parametrize("scale", [1e-30, 1e30, 0.0, float("nan"), float("-inf")])
def test_scales_leave_room_for_arithmetic(backbone: Backbone, scale: float) -> None:
    stem = replace(backbone.stem, output=LayerQuantization(scale, -128))
    with pytest.raises(NetworkFileError, match="stem: output scale"):
        check_backbone(replace(backbone, stem=stem))
