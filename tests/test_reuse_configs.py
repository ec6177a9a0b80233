import copy
import importlib.util
import json
import logging
import pathlib

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData, PixelData
from mmengine.utils.dl_utils import mmcv_full_available
from mmpose.registry import DATASETS, KEYPOINT_CODECS, MODELS
from mmpose.structures import PoseDataSample

CONFIGS = pathlib.Path(__file__).parent.parent / 'configs'
NEEDS_OPS = ('basicvsr-pp', 'edvr', 'tdan')
ABLATIONS = sorted(path.name for path in (CONFIGS / 'ablations').glob('*.py'))
RECIPES = sorted(
    str(path.relative_to(CONFIGS))
    for path in CONFIGS.rglob('*.py')
    if path.parent.name not in ('reuse', 'ablations', 'movenet')
)
POSE_REUSE = sorted(
    path.name for path in (CONFIGS / 'reuse').glob('*.py') if 'basicvsr' not in path.name
)
ADAPTATIONS = sorted(path.name for path in (CONFIGS / 'adapt').glob('*_coco.py'))
HAS_MMAGIC = importlib.util.find_spec('mmagic') is not None
needs_mmagic = pytest.mark.skipif(not HAS_MMAGIC, reason='mmagic is not installed')


@pytest.fixture(autouse=True)
def mmpose_scope():
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    with DefaultScope.overwrite_default_scope('mmpose'):
        yield


def names_mmagic(config: Config) -> bool:
    return 'mmagic.' in str(config.to_dict())


def skip_what_is_missing(name: str, config: Config) -> None:
    if names_mmagic(config) and not HAS_MMAGIC:
        pytest.skip('mmagic is not installed')
    if name.startswith('cascades') and not mmcv_full_available():
        for part in NEEDS_OPS:
            if part in name:
                pytest.skip("mmcv's compiled operators are not installed")


def check_agreement(model: torch.nn.Module, config: Config) -> None:
    """Compare what a recipe says in several places: sizes, target and the affine's convention."""
    head, codec = model.head, config.codec
    assert tuple(head.decoder.input_size) == tuple(codec['input_size'])
    assert model.backbone.target == head.target
    if hasattr(model.backbone, 'mean'):  # a cascade undoes and redoes the normalisation
        for name in ('mean', 'std'):
            ours, stock = getattr(model.backbone, name), getattr(model.data_preprocessor, name)
            assert torch.equal(ours, stock)
    for loader in (config.train_dataloader, config.val_dataloader):
        steps = {step['type']: step for step in loader.dataset.pipeline}
        assert steps['SampleClipFrames']['target'] == head.target
        assert tuple(steps['ClipAffine']['input_size']) == tuple(codec['input_size'])
        # UDP's grid belongs to UDP's heatmaps and costs SimCC up to 1.2 px.
        assert steps['ClipAffine'].get('use_udp', False) == (codec['type'] == 'UDPHeatmap')
        assert head.scale in (1, steps['GenerateLRClip']['scale'])
        if 'GenerateTarget' in steps:
            # A child's codec is merged into its base's, which may leave keys of another codec.
            # How wide the peaks of labels are is theirs: decoding does not ask.
            encoder = {**steps['GenerateTarget']['encoder'], 'sigma': codec.get('sigma')}
            assert all(codec.get(key) == value for key, value in encoder.items())


@pytest.mark.slow
@pytest.mark.parametrize('name', RECIPES)
def test_every_recipe_builds_and_its_parts_agree(name):
    config = Config.fromfile(CONFIGS / name)
    skip_what_is_missing(name, config)
    check_agreement(MODELS.build(config.model), config)


@pytest.mark.slow
@pytest.mark.parametrize('name', ABLATIONS)
def test_every_ablation_changes_its_base_and_runs(name):
    config = Config.fromfile(CONFIGS / 'ablations' / name)
    direct = name == 'handoff_direct.py'
    adapted = 'adapt/movenet-lightning_64x48_coco.py'
    base = Config.fromfile(CONFIGS / ('star_pose_tiny_64x48_posetrack.py' if direct else adapted))
    assert config.model != base.model or config.num_frames != base.num_frames
    model = MODELS.build(config.model).eval()
    check_agreement(model, config)
    with torch.no_grad():
        heatmaps = model(torch.randn(1, config.num_frames, 3, 64, 48), None)
    assert heatmaps.shape == (1, 17, 64, 48)
    assert 0 <= heatmaps.min() < heatmaps.max() <= 1


def write_coco(root: pathlib.Path, num: int = 2) -> None:
    """A data set of noise in COCO's form, with 17 labelled joints a person."""
    rng = np.random.default_rng(0)
    (root / 'annotations').mkdir()
    names = ('train2017', 'val2017')
    for split in names:
        (root / split).mkdir()
        images, people = [], []
        for index in range(1, num + 1):
            image = rng.integers(0, 256, (120, 100, 3), dtype=np.uint8)
            cv2.imwrite(str(root / split / f'{index}.png'), image)
            images.append({'id': index, 'file_name': f'{index}.png', 'width': 100, 'height': 120})
            joints = rng.uniform((20, 20), (80, 100), (17, 2)).round(1)
            people.append(
                {
                    'id': index,
                    'image_id': index,
                    'category_id': 1,
                    'bbox': [15, 15, 70, 90],
                    'area': 6300,
                    'iscrowd': 0,
                    'num_keypoints': 17,
                    'keypoints': np.c_[joints, np.full(17, 2)].ravel().tolist(),
                }
            )
        content = {
            'images': images,
            'annotations': people,
            'categories': [{'id': 1, 'name': 'person'}],
        }
        path = root / 'annotations' / f'person_keypoints_{split}.json'
        path.write_text(json.dumps(content))


@pytest.fixture(scope='module')
def coco(tmp_path_factory):
    root = tmp_path_factory.mktemp('coco')
    write_coco(root)
    return root


def samples_of(dataset: dict, root: pathlib.Path) -> dict:
    built = DATASETS.build({**dataset, 'data_root': str(root)})
    return pseudo_collate([built[index] for index in range(len(built))])


def make_small(model: dict) -> None:
    """Take the depth out of the networks, so that the test spends its time on what joins them."""
    for part in (model, model.head.get('pose_net', {})):
        backbone = part.get('backbone', {})
        if backbone.get('type') == 'ResNet':
            backbone.depth = 18
            part.head.in_channels = 512
            if 'neck' in part:
                part.neck.in_channels = 512
        elif backbone.get('type') == 'STARPoseNet':
            backbone.update(depth=1, num_cnn_blocks=1)
        elif backbone.get('type') == 'SRCascadeBackbone':
            backbone.sr.num_blocks = 1


@pytest.mark.slow
@pytest.mark.parametrize('name', POSE_REUSE)
def test_every_reuse_config_trains_two_iterations_and_predicts(name, coco):
    config = Config.fromfile(CONFIGS / 'reuse' / name)
    skip_what_is_missing(name, config)
    make_small(config.model)
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    optimiser = torch.optim.SGD(model.parameters(), 1e-4)
    batch = samples_of(config.train_dataloader.dataset, coco)
    before = copy.deepcopy(model.state_dict())
    for _ in range(2):
        data = model.data_preprocessor(copy.deepcopy(batch), True)
        loss, logged = model.parse_losses(model(**data, mode='loss'))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        assert torch.isfinite(loss)
    parts = {name.split('.')[0] for name, value in model.state_dict().items()
             if not torch.equal(value, before[name])}  # fmt: skip
    assert parts == {name for name, child in model.named_children() if list(child.parameters())}
    assert ('loss_sr_pixel' in logged) == ('pose_aware' in name)
    model.eval()
    with torch.no_grad():
        results = model.test_step(samples_of(config.val_dataloader.dataset, coco))
    assert len(results) == 2
    assert results[0].pred_instances.keypoints.shape == (1, 17, 2)
    assert np.isfinite(results[0].pred_instances.keypoints).all()


def without_labels(batch: dict) -> dict:
    """The same batch with nothing in its samples but the crop."""
    bare = []
    for sample in batch['data_samples']:
        bare.append(PoseDataSample(metainfo=sample.metainfo))
        bare[-1].gt_sr = sample.gt_sr
    return {**batch, 'data_samples': bare}


@pytest.mark.slow
@pytest.mark.parametrize('name', ADAPTATIONS)
def test_every_adaptation_trains_the_front_end_alone_without_labels(name, coco):
    config = Config.fromfile(CONFIGS / 'adapt' / name)
    make_small(config.model)
    checkpoint = config.model.head.pose_net.init_cfg.checkpoint
    if checkpoint.startswith('https://'):  # MMPose's, by their published names
        assert checkpoint.startswith('https://download.openmmlab.com/mmpose/v1/')
        config.model.head.pose_net.pop('init_cfg')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, 1e-3)
    batch = without_labels(samples_of(config.train_dataloader.dataset, coco))
    before = copy.deepcopy(model.state_dict())
    for _ in range(2):
        data = model.data_preprocessor(copy.deepcopy(batch), True)
        loss, logged = model.parse_losses(model(**data, mode='loss'))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        assert torch.isfinite(loss)
    terms = {f'loss_distill_{term}' for term in ('feature', 'output', 'pixel')}
    assert {key for key in logged if 'loss_' in key} == terms
    after = model.state_dict()
    moved = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert not any('pose_net' in key for key in moved)
    assert {key.split('.')[0] for key in moved} == {'backbone', 'neck', 'head'}
    model.eval()
    with torch.no_grad():
        results = model.test_step(samples_of(config.val_dataloader.dataset, coco))
    assert results[0].pred_instances.keypoints.shape == (1, 17, 2)


@pytest.mark.slow
def test_the_evidence_recipe_trains_the_weights_of_the_frames_alone():
    config = Config.fromfile(CONFIGS / 'adapt/movenet-lightning_64x48_evidence.py')
    make_small(config.model)
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    optimiser = build_optim_wrapper(model, config.optim_wrapper.to_dict())
    sample = PoseDataSample()
    sample.gt_sr = PixelData(img=torch.randint(0, 256, (3, 256, 192), dtype=torch.uint8))
    batch = dict(
        inputs=[torch.randint(0, 256, (config.num_frames, 3, 64, 48), dtype=torch.uint8)],
        data_samples=[sample],
    )
    before = copy.deepcopy(model.state_dict())
    logged = model.train_step(batch, optimiser)
    assert torch.isfinite(logged['loss'])
    moved = {k for k, value in model.state_dict().items() if not torch.equal(value, before[k])}
    assert moved
    assert all(key.startswith('head.evidence_fusion.') for key in moved)


@pytest.mark.slow
def test_the_posetrack_recipe_trains_neck_and_head_top_alone():
    config = Config.fromfile(CONFIGS / 'adapt/movenet-lightning_64x48_posetrack.py')
    make_small(config.model)
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    optimiser = build_optim_wrapper(model, config.optim_wrapper.to_dict())
    joints = np.random.default_rng(0).uniform(20, 170, (1, 17, 2)).astype(np.float32)
    codec = KEYPOINT_CODECS.build(config.labels)
    encoded = codec.encode(joints, np.ones((1, 17), np.float32))
    sample = PoseDataSample()
    sample.gt_fields = PixelData(heatmaps=torch.from_numpy(encoded['heatmaps']))
    sample.gt_instance_labels = InstanceData(
        keypoint_weights=torch.from_numpy(encoded['keypoint_weights'])
    )
    batch = dict(
        inputs=[torch.randint(0, 256, (config.num_frames, 3, 64, 48), dtype=torch.uint8)],
        data_samples=[sample],
    )
    before = copy.deepcopy(model.state_dict())
    losses = [model.train_step(batch, optimiser)['loss'].item() for _ in range(3)]
    assert losses[2] < losses[0]
    moved = {k for k, value in model.state_dict().items() if not torch.equal(value, before[k])}
    name = 'head.pose_net.head.neck_and_head_top'
    assert moved == {f'{name}.weight', f'{name}.bias'}


@needs_mmagic
@pytest.mark.slow
def test_mmagics_basicvsr_trains_our_network_and_measures_its_psnr(tmp_path):
    config = Config.fromfile(CONFIGS / 'reuse/star_pose_sr_net_basicvsr_reds4.py')
    from mmagic.registry import DATASETS as MMAGIC_DATASETS
    from mmagic.registry import METRICS as MMAGIC_METRICS
    from mmagic.registry import MODELS as MMAGIC_MODELS

    rng = np.random.default_rng(0)
    for folder, size in (('train_sharp', (256, 256)), ('train_sharp_bicubic/X4', (64, 64))):
        target = tmp_path / folder / '000'
        target.mkdir(parents=True)
        for frame in range(5):
            image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            cv2.imwrite(str(target / f'{frame:08d}.png'), image)
    for split in ('train', 'val'):
        (tmp_path / f'meta_info_reds4_{split}.txt').write_text('000 5\n')
    with DefaultScope.overwrite_default_scope('mmagic'):
        config.val_dataloader.dataset.update(num_input_frames=5, fixed_seq_len=5)
        config.model.generator.backbone.update(depth=1, num_cnn_blocks=1)
        model = MMAGIC_MODELS.build(config.model)
        model.init_weights()
        batches = []
        for loader in (config.train_dataloader, config.val_dataloader):
            dataset = MMAGIC_DATASETS.build({**loader.dataset, 'data_root': str(tmp_path)})
            batches.append(pseudo_collate([dataset[0]]))
        optimiser = torch.optim.SGD(model.parameters(), 1e-3)
        for _ in range(2):
            data = model.data_preprocessor(copy.deepcopy(batches[0]), True)
            loss, _ = model.parse_losses(model(**data, mode='loss'))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            assert torch.isfinite(loss)
        assert model.generator.sr_decoder.to_rgb.weight.any()
        with torch.no_grad():
            results = model.eval().test_step(copy.deepcopy(batches[1]))
        metric = MMAGIC_METRICS.build(config.val_evaluator.metrics[0])
        metric.prepare(model, None) if metric.SAMPLER_MODE == 'other' else None
        metric.process(batches[1], [result.to_dict() for result in results])
        psnr = metric.compute_metrics(metric.results)['PSNR']
    assert results[0].output.pred_img.shape == (5, 3, 256, 256)
    # Bicubic of noise against other noise: two independent uniform images have 7.8 dB.
    assert 6 < psnr < 10


def test_the_example_of_the_loss_in_the_guide_runs():
    guide = (CONFIGS.parent / 'docs' / 'reuse.md').read_text()
    blocks = [block.split('```')[0] for block in guide.split('```python\n')[1:]]
    [example] = [block for block in blocks if 'PoseAwareSRLoss(' in block]
    names = {}
    exec(example, names)
    assert set(names['terms']) == {'loss_sr_pixel', 'loss_sr_structure'}
    assert names['sr'].grad.any()


def test_the_guide_names_every_config_and_each_that_it_names_exists():
    guide = (CONFIGS.parent / 'docs' / 'reuse.md').read_text()
    named = {word.split()[-1] for word in guide.split('`') if word.endswith('.py')}
    folders = (CONFIGS / 'reuse', CONFIGS.parent)  # of the recipes, and of scripts
    assert [one for one in named if not any((folder / one).exists() for folder in folders)] == []
    assert named >= {path.name for path in (CONFIGS / 'reuse').glob('*.py')}
