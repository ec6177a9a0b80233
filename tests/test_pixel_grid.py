"""One pixel grid: a dot in the frame is found at its place in every map of the model."""

import pytest
import torch
import torch.nn.functional as F
from mmpose.registry import KEYPOINT_CODECS, MODELS

from pose_batches import batch, build, estimator, heatmap_head, hrnet, losses_of, resnet, star_pose
from star_pose.models import STARPoseNet
from star_pose.models.backbones.stem_map import StemMap, find_stem, run_stem
from star_pose.models.heads.joint_map_head import joint_distributions
from star_pose.models.heads.sr_decoder import bicubic_upsample
from star_pose.models.layers.pixel_grid import move_grid

DOTS = [(96.0, 120.0), (61.0, 90.5), (110.25, 150.75)]  # (x, y) in HR pixels
SIZE = (192, 256)  # (w, h) of the HR frame


def frame_of(dot: tuple[float, float]) -> torch.Tensor:
    """A soft bright dot on black, (1, 3, H, W)."""
    x, y = (torch.arange(side, dtype=torch.float32) for side in SIZE)
    across, down = torch.exp(-((x - dot[0]) ** 2) / 50), torch.exp(-((y - dot[1]) ** 2) / 50)
    return (down[:, None] * across).expand(1, 3, -1, -1)


def low_resolution(dot: tuple[float, float]) -> torch.Tensor:
    return F.avg_pool2d(frame_of(dot), 4)


def place(fmap: torch.Tensor, origin: float) -> torch.Tensor:
    """The centre of mass of a map whose cell i lies at HR pixel ``4 i + origin``: (x, y)."""
    values = fmap.sum((0, 1))  # h w
    total = values.sum()
    x = (values.sum(0) * torch.arange(values.shape[1])).sum() / total
    y = (values.sum(1) * torch.arange(values.shape[0])).sum() / total
    return 4 * torch.stack((x, y)) + origin


@torch.no_grad()
def see_through(module: torch.nn.Module) -> torch.nn.Module:
    """Make every convolution a mean over what it sees, and batch norms do nothing."""
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.weight.fill_(1 / layer.weight[0].numel())
            if layer.bias is not None:
                layer.bias.zero_()
        elif isinstance(layer, torch.nn.BatchNorm2d):
            layer.weight.fill_(1)
    module.eval()
    return module


def fused_map(dot: tuple[float, float]) -> torch.Tensor:
    """What the front end hands on when it only looks: the CNN branch's map, (1, C, h, w)."""
    net = see_through(STARPoseNet(embed_channels=16, depth=1, num_heads=2))
    return net(low_resolution(dot))[2].detach()


def check(found: torch.Tensor, dot: tuple[float, float]) -> None:
    torch.testing.assert_close(found, torch.tensor(dot), rtol=0, atol=0.1)


@pytest.mark.parametrize('dot', DOTS)
def test_the_fused_map_lies_on_the_grid_of_the_lr_frame(dot):
    check(place(low_resolution(dot), 1.5), dot)
    check(place(fused_map(dot), 1.5), dot)


@pytest.mark.parametrize('backbone', [hrnet(), resnet(), resnet(type='ResNetV1d')])
@pytest.mark.parametrize('dot', DOTS)
def test_the_stems_map_lies_where_the_backbone_says(backbone, dot):
    net = see_through(build(backbone))
    seen = run_stem(net, bicubic_upsample(low_resolution(dot), 4).clamp(min=0)).detach()
    # A maximum over the neighbours widens the dot, evenly.
    within = 0.6 if 'Res' in backbone['type'] else 0.1
    found = place(seen, find_stem(net).origin)
    torch.testing.assert_close(found, torch.tensor(dot), rtol=0, atol=within)


@pytest.mark.parametrize('handoff', ['residual', 'feature'])
@pytest.mark.parametrize('dot', DOTS)
def test_what_enters_behind_the_stem_lies_on_the_stems_grid(handoff, dot):
    model = see_through(build(star_pose(handoff)).head)
    check(place(model.handoff.projected(fused_map(dot)).detach(), 0.0), dot)


@pytest.mark.parametrize('dot', DOTS)
def test_a_backbone_with_a_grid_of_its_own_gets_the_map_on_it(dot):
    for origin in (-2.0, 0.0, 1.5, 3.0, 5.0):
        check(place(move_grid(fused_map(dot), 4, origin), origin), dot)


@pytest.mark.parametrize('dot', DOTS)
def test_joint_maps_and_heatmaps_teach_the_place_of_the_dot(dot):
    keypoints = torch.tensor([[dot]])
    taught = joint_distributions(keypoints, (48, 64), 4, 2.0).unflatten(2, (64, 48))
    check(place(taught, 0.0), dot)
    codec = dict(type='MSRAHeatmap', input_size=SIZE, heatmap_size=(48, 64), sigma=2, unbiased=True)
    encoded = KEYPOINT_CODECS.build(codec).encode(keypoints.numpy(), torch.ones(1, 1).numpy())
    check(place(torch.from_numpy(encoded['heatmaps'])[None], 0.0), dot)


@pytest.mark.parametrize('dot', DOTS)
def test_the_super_resolved_frame_shows_the_dot_in_its_place(dot):
    found = place(bicubic_upsample(low_resolution(dot), 4), 0.0) / 4  # its cells are pixels
    check(found, dot)


def test_the_auxiliary_head_and_a_head_alone_read_the_map_on_the_heatmaps_grid():
    aux = {'type': 'JointMapHead', 'in_channels': 16, 'num_keypoints': 5}
    model = build(star_pose(pose_net=None, head=heatmap_head(16), aux_head=aux))
    read = {}
    for name in ('aux_head', 'head'):
        part = getattr(model.head, name).final_layer
        part.register_forward_hook(lambda m, args, out, name=name: read.update({name: args[0]}))
    fused = []
    model.neck.register_forward_hook(lambda module, args, output: fused.append(output[-1]))
    losses_of(model, batch())
    for name in ('aux_head', 'head'):
        torch.testing.assert_close(read[name], move_grid(fused[0], 4))


def test_moving_interpolates_between_neighbours_and_repeats_the_border():
    ramp = torch.arange(5.0).expand(1, 1, 4, 5)
    moved = move_grid(ramp, 4)[0, 0]
    torch.testing.assert_close(moved, (torch.arange(5.0) - 0.375).clamp(min=0).expand(4, 5))
    torch.testing.assert_close(move_grid(ramp.mT, 4)[0, 0], moved.mT)
    assert move_grid(ramp, 1) is ramp


@MODELS.register_module()
class SaysItsEntry(torch.nn.Module):
    """A backbone of two steps to stride 4, which pads at the right and bottom only."""

    def __init__(self):
        super().__init__()
        pad = torch.nn.ZeroPad2d((0, 1, 0, 1))
        self.first = torch.nn.Sequential(pad, torch.nn.Conv2d(3, 6, 3, stride=2))
        self.second = torch.nn.Sequential(pad, torch.nn.Conv2d(6, 12, 3, stride=2))
        self.last = torch.nn.Conv2d(12, 8, 1)
        self.stem_map = StemMap(('first', 'second'), 12, rectified=False, origin=3.0)

    def forward(self, image):
        return (self.last(self.second(self.first(image))),)


def test_a_backbone_that_says_its_entry_serves_residual_and_feature():
    net = estimator({'type': 'SaysItsEntry'}, heatmap_head(8))
    model = build(star_pose('residual', pose_net=net))
    handoff = model.head.handoff
    assert handoff.origin == 3.0
    assert handoff.project.out_channels == 12
    frame = torch.randn(1, 3, 16, 12)
    stem_map = run_stem(model.head.pose_net.backbone, frame)
    expected = model.head.pose_net.backbone(frame)
    torch.testing.assert_close(handoff.run(model.head.pose_net, stem_map), expected)


@pytest.mark.parametrize('dot', DOTS)
def test_its_grid_is_the_one_that_it_says(dot):
    net = see_through(SaysItsEntry())
    seen = run_stem(net, bicubic_upsample(low_resolution(dot), 4)).detach()
    check(place(seen, net.stem_map.origin), dot)
