"""The metrics on data samples as MMPose's evaluator passes them, alone, in a Runner and in DDP."""

import json
import os

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpose.registry import METRICS
from mmpose.structures import PoseDataSample
from torch import nn

import posetrack_builders as build
from posetrack_builders import VIDEO, document, label, pose, prediction
from star_pose.evaluation import PoseTrackMetric, PoseTrackPCKh
from star_pose.posetrack.joints import KEYPOINTS
from star_pose.posetrack.read_labels import read_ground_truth
from star_pose.posetrack.read_predictions import read_predictions
from star_pose.posetrack.tables import PoseTrackError

META = {'dataset_name': 'posetrack18', 'keypoint_id2name': dict(enumerate(KEYPOINTS))}


def sample(ann, *, truth=None, box_score=1.0, tracked=False, video=VIDEO, **metainfo):
    """A predicted person as a data sample of the evaluator."""
    points = np.array(ann['keypoints'], dtype=np.float32).reshape(1, 17, 3)
    predicted = {
        'keypoints': points[..., :2],
        'keypoint_scores': np.array([ann['scores']], dtype=np.float32),
        'bbox_scores': np.array([box_score], dtype=np.float32),
        'bboxes': np.array([[90, 90, 270, 290]], dtype=np.float32),
    }
    if tracked:
        predicted['track_ids'] = np.array([ann['track_id']])
    return {
        'id': ann['id'],
        'img_id': ann['image_id'],
        'img_path': f'data/images/val/{video}/{ann["image_id"]:06d}.jpg',
        'ori_shape': (720, 1280),
        'pred_instances': predicted,
        'gt_instances': {},
        **({'raw_ann_info': truth} if truth else {}),
        **metainfo,
    }


def compute(metric, samples, batch=None):
    metric.dataset_meta = META
    metric.process(batch, samples)
    return metric.evaluate(size=len(samples))


@pytest.fixture
def folder(tmp_path):
    truth = document([label(0, pose()), label(1, pose()), label(2, pose())], 3)
    return build.write(tmp_path / 'gt', {VIDEO: truth})


def perfect(num_frames=3, **options):
    return [sample(prediction(f, pose()), **options) for f in range(num_frames)]


def test_the_configs_can_name_the_metrics():
    assert METRICS.get('PoseTrackMetric') is PoseTrackMetric
    assert METRICS.get('PoseTrackPCKh') is PoseTrackPCKh


def test_samples_give_what_the_files_give(tmp_path):
    gt, _, expected = build.write_case(tmp_path, 'case6')
    samples = []
    for video, content in build.load_case('case6')['pred'].items():
        for ann in content['annotations']:
            entry = sample(ann, tracked=True, video=video)
            frame = ann['image_id'] % 10**4
            entry['img_path'] = f'data/images/val/{video}/{frame:06d}.jpg'
            entry['pred_instances'].update(  # exactly the numbers of the files, not their float32
                keypoints=np.array(ann['keypoints'], float).reshape(1, 17, 3)[..., :2],
                keypoint_scores=np.array([ann['scores']], float),
            )
            samples.append(entry)
    metrics = compute(PoseTrackMetric(str(gt), out_file=str(tmp_path / 'out.json')), samples)
    for group, value in expected['groups'].items():
        assert metrics[f'posetrack/{group}'] == pytest.approx(value, abs=1e-6)
    assert metrics['posetrack/MOTA'] == pytest.approx(expected['tracking']['mota'][-1], abs=1e-6)
    assert metrics['posetrack/MOTP'] == pytest.approx(expected['tracking']['motp'][-1], abs=1e-6)
    written = json.loads((tmp_path / 'out.json').read_text())
    np.testing.assert_allclose(written['ap_per_joint'], expected['ap_per_joint'], atol=1e-6)


def test_perfect_predictions_and_all_keys(folder):
    metrics = compute(PoseTrackMetric(str(folder)), perfect())
    assert metrics['posetrack/AP'] == 100
    groups = ('Head', 'Shou', 'Elb', 'Wri', 'Hip', 'Knee', 'Ankl')
    assert {f'posetrack/{group} AP' for group in groups} < set(metrics)
    assert 'posetrack/MOTA' not in metrics


def test_repeated_samples_count_once(folder):
    samples = perfect()
    metrics = compute(PoseTrackMetric(str(folder)), [*samples, *samples[:2]])
    assert metrics['posetrack/Precision'] == 100


def test_truth_comes_from_the_samples_without_an_annotation_file():
    labels = [label(f, pose()) for f in range(3)]
    samples = [sample(prediction(f, pose()), truth=labels[f]) for f in range(3)]
    assert compute(PoseTrackMetric(), samples)['posetrack/AP'] == 100
    del labels[1]['bbox_head']
    metric = PoseTrackMetric()
    samples[1]['pred_instances']['keypoints'] += 500
    assert compute(metric, samples)['posetrack/AP'] == 100  # frame 1 is dropped


def test_detected_boxes_need_an_annotation_file():
    with pytest.raises(PoseTrackError, match=rf'video {VIDEO}, frame 000000.jpg.*ann_file'):
        compute(PoseTrackMetric(), perfect())


@pytest.mark.parametrize(
    ('rule', 'expected'), [('heatmap_max', 50), ('heatmap_max_x_box', 100), ('mean', 50)]
)
def test_the_score_rule_decides_the_ranking(tmp_path, rule, expected):
    folder = build.write(tmp_path / 'gt', {VIDEO: document([label(0, pose())])})
    good, bad = prediction(0, pose(), 0.5, 0), prediction(0, pose(900, 900), 0.6, 1)
    samples = [sample(good, box_score=0.9), sample(bad, box_score=0.1)]
    metrics = compute(PoseTrackMetric(str(folder), score_rule=rule), samples)
    assert metrics['posetrack/AP'] == pytest.approx(expected)


def test_the_mean_rule_gives_every_joint_the_persons_mean(tmp_path):
    folder = build.write(tmp_path / 'gt', {VIDEO: document([label(0, pose())])})
    nose_sure = [1.0] + [0.1] * 16
    good, bad = prediction(0, pose(), nose_sure, 0), prediction(0, pose(900, 900), 0.3, 1)
    for rule, expected in (('heatmap_max', 100), ('mean', 50)):
        metric = PoseTrackMetric(str(folder), score_rule=rule, out_file=str(tmp_path / 'r.json'))
        compute(metric, [sample(good), sample(bad)])
        ap = json.loads((tmp_path / 'r.json').read_text())
        nose = ap['joint_order'].index('nose')
        assert ap['ap_per_joint'][nose] == pytest.approx(expected)


def test_provenance_is_stored_with_the_result(folder, tmp_path):
    metric = PoseTrackMetric(str(folder), out_file=str(tmp_path / 'out.json'))
    facts = {'frame_paths': ['a', 'b', 'c', 'd', 'e'], 'degradation': {'scale': 4, 'blur': 0.5}}
    samples = perfect(**facts)
    compute(metric, samples, {'inputs': torch.zeros(3, 5, 3, 64, 48)})
    told = json.loads((tmp_path / 'out.json').read_text())['provenance']
    assert told['num_frames'] == '5'
    assert told['lr_size'] == '(48, 64)'
    assert told['degradation'] == '{"blur": 0.5, "scale": 4}'
    assert told['box_source'] == 'detected'
    assert told['score_rule'] == 'heatmap_max'
    assert told['label_version'].endswith('1 sequences, 3 labelled frames')


def test_bad_samples_are_named(folder):
    unknown = sample(prediction(9, pose()))
    with pytest.raises(PoseTrackError, match=rf'{VIDEO}, frame 000009.jpg, person \(id 900\)'):
        compute(PoseTrackMetric(str(folder)), [unknown])
    broken = perfect()
    broken[1]['pred_instances']['keypoints'][0, 4, 1] = np.nan
    with pytest.raises(PoseTrackError, match=r'000001.jpg, person \(id 100\): a coordinate'):
        compute(PoseTrackMetric(str(folder)), broken)
    scoreless = perfect()
    del scoreless[2]['pred_instances']['keypoint_scores']
    with pytest.raises(PoseTrackError, match=r'000002.jpg, person \(id 200\): no .keypoint_scores'):
        compute(PoseTrackMetric(str(folder)), scoreless)
    twins = [sample(prediction(0, pose(), id=i), tracked=True) for i in (1, 2)]
    with pytest.raises(PoseTrackError, match=r'person \(id 2\): track_id 0 is already'):
        compute(PoseTrackMetric(str(folder)), twins)


def test_videos_without_samples_are_an_error_or_skipped(folder):
    build.write(folder, {'000002_mpii_test': document([label(0, pose())], video='other')})
    with pytest.raises(PoseTrackError, match=r'video 000002_mpii_test: no predictions; missing_vi'):
        compute(PoseTrackMetric(str(folder)), perfect())
    metric = PoseTrackMetric(str(folder), missing_videos='skip')
    assert compute(metric, perfect())['posetrack/AP'] == 100


def test_a_submission_is_one_switch(folder, tmp_path):
    metric = PoseTrackMetric(str(folder), submission=str(tmp_path / 'sub'))
    compute(metric, perfect())
    frames, _ = read_ground_truth(folder)
    assert len(read_predictions(tmp_path / 'sub', frames, tracking=True)) == 3


def test_format_only_writes_and_evaluates_nothing(tmp_path):
    unlabelled = build.write(tmp_path / 'test', {VIDEO: document([], 3)})
    metric = PoseTrackMetric(str(unlabelled), format_only=True, submission=str(tmp_path / 'sub'))
    assert compute(metric, perfect(2)) == {}
    written = json.loads((tmp_path / 'sub' / f'{VIDEO}.json').read_text())
    assert len(written['images']) == 3
    assert len(written['annotations']) == 2
    with pytest.raises(ValueError, match='set submission'):
        PoseTrackMetric(format_only=True)


def test_a_registered_tracker_numbers_the_persons(folder, tmp_path):
    metric = PoseTrackMetric(
        str(folder), tracker=dict(type='PoseTracker', start_thr=0.2), submission=str(tmp_path / 's')
    )
    metrics = compute(metric, perfect())
    assert metrics['posetrack/MOTA'] == pytest.approx(100)
    weak = [sample(prediction(f, pose(), 0.01)) for f in range(3)]
    metrics = compute(PoseTrackMetric(str(folder), tracker=dict(type='PoseTracker')), weak)
    assert metrics['posetrack/AP'] == 100
    # Nobody was sure enough to start a track: each frame is a miss and a false positive a joint.
    assert metrics['posetrack/MOTA'] == -100


@pytest.mark.parametrize('rule', ['heatmap_max', 'heatmap_max_x_box'])
@pytest.mark.parametrize(('start_thr', 'mota'), [(0.35, 100), (0.37, -100)])
def test_a_trackers_person_score_holds_the_box_once(folder, rule, start_thr, mota):
    # Joints of 0.6 in boxes of 0.6: a person's score is 0.36, whichever of the two ranks AP.
    samples = [sample(prediction(f, pose(), 0.6), box_score=0.6) for f in range(3)]
    tracker = dict(type='PoseTracker', start_thr=start_thr)
    metric = PoseTrackMetric(str(folder), score_rule=rule, tracker=tracker)
    assert compute(metric, samples)['posetrack/MOTA'] == pytest.approx(mota)


def test_the_box_score_ranks_persons_of_equal_joints(tmp_path):
    folder = build.write(tmp_path / 'gt', {VIDEO: document([label(0, pose())])})
    people = [prediction(0, pose(), 0.5, 0), prediction(0, pose(900, 900), 0.5, 1)]
    for boxes, expected in (((0.9, 0.8), 100), ((0.8, 0.9), 50)):
        samples = [sample(p, box_score=b) for p, b in zip(people, boxes, strict=True)]
        metric = PoseTrackMetric(str(folder), score_rule='heatmap_max_x_box')
        assert compute(metric, samples)['posetrack/AP'] == pytest.approx(expected)


def test_weak_joints_can_be_left_out_of_mota_alone(folder):
    scores = [0.05] + [0.9] * 16
    far = np.array(pose()).reshape(17, 3)
    far[0, :2] += 200  # the nose is wrong, and unsure
    samples = [sample(prediction(f, far.ravel().tolist(), scores), tracked=True) for f in range(3)]
    without, with_threshold = (
        compute(PoseTrackMetric(str(folder), track_joint_thr=thr), samples) for thr in (0.0, 0.1)
    )
    assert without['posetrack/AP'] == with_threshold['posetrack/AP']
    # The nose: two misses and two false positives of two objects; without weak joints two misses.
    assert without['posetrack/Head MOTA'] == pytest.approx((100 + 100 - 100) / 3)
    assert with_threshold['posetrack/Head MOTA'] == pytest.approx((100 + 100 + 0) / 3)


def test_unknown_options_are_refused(tmp_path):
    with pytest.raises(ValueError, match="score_rule='sum'"):
        PoseTrackMetric(score_rule='sum')
    with pytest.raises(FileNotFoundError, match='nowhere'):
        PoseTrackMetric(str(tmp_path / 'nowhere'))


def test_pckh_is_the_share_of_joints_within_the_head_size():
    ears = 2
    offsets = np.zeros((17, 2))
    offsets[:5, 0] = 14  # head joints 14 px off, less than half of 30
    offsets[5:7, 0] = 16  # shoulders 16 px off, more than half
    guess = np.array(pose()).reshape(17, 3)
    guess[:, :2] += offsets
    samples = [sample(prediction(0, guess.ravel().tolist()), truth=label(0, pose()))]
    samples.append(sample(prediction(1, pose(9, 9)), truth=label(1, pose(), head=None)))
    metrics = compute(PoseTrackPCKh(), samples)
    assert metrics['posetrack/pckh@0.5'] == pytest.approx(100 * 13 / (17 - ears))
    assert metrics['posetrack/Head pckh@0.5'] == 100
    assert metrics['posetrack/Shou pckh@0.5'] == 0
    assert metrics['posetrack/Head pckh@0.2'] == 0
    assert metrics['posetrack/pckh@0.2'] == pytest.approx(100 * 10 / (17 - ears))


def test_pckh_leaves_unlabelled_joints_out():
    samples = [sample(prediction(0, pose()), truth=label(0, pose(absent=[0, 1, 2])))]
    metrics = compute(PoseTrackPCKh(), samples)
    assert metrics['posetrack/pckh@0.5'] == 100
    assert np.isnan(metrics['posetrack/Head pckh@0.5'])


def test_pckh_refuses_nan():
    points = pose()
    points[0] = float('nan')
    with pytest.raises(PoseTrackError, match=r'000000.jpg, person \(id 0\): a coordinate'):
        compute(PoseTrackPCKh(), [sample(prediction(0, points), truth=label(0, pose()))])


class Shifted(BaseModel):
    """Predicts the truth, off by a distance that training brings down."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(40.0))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            return {'loss': self.shift}
        for data_sample in data_samples:
            truth = np.array(data_sample.raw_ann_info['keypoints']).reshape(1, 17, 3)
            predicted = InstanceData()
            predicted.keypoints = truth[..., :2] + [float(self.shift), 0]
            predicted.keypoint_scores = np.ones((1, 17))
            data_sample.pred_instances = predicted
        return data_samples


def collate(people):
    return {'inputs': torch.zeros(len(people), 3, 4, 4), 'data_samples': people}


def make_people():
    people = []
    for frame in range(3):
        person = PoseDataSample()
        person.set_metainfo(
            {
                'id': frame,
                'img_id': frame,
                'img_path': f'data/{VIDEO}/{frame:06d}.jpg',
                'ori_shape': (720, 1280),
                'raw_ann_info': label(frame, pose()),
            }
        )
        person.gt_instances = InstanceData()
        people.append(person)
    return people


def test_save_best_keeps_the_better_of_two_epochs(tmp_path):
    loader = torch.utils.data.DataLoader(make_people(), batch_size=3, collate_fn=collate)
    runner = Runner(
        model=Shifted(),
        work_dir=str(tmp_path),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=2),
        # 40 px off, then 20, then 0: the first epoch misses all joints, the second hits them all
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=20.0)),
        val_dataloader=loader,
        val_cfg=dict(),
        val_evaluator=dict(type='PoseTrackMetric'),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', save_best='posetrack/AP', rule='greater')
        ),
        default_scope='mmpose',
        experiment_name='save_best',
    )
    runner.train()
    assert runner.message_hub.get_info('best_score') == 100
    assert os.path.basename(runner.message_hub.get_info('best_ckpt')).startswith('best_posetrack')
    assert 'epoch_2' in runner.message_hub.get_info('best_ckpt')


def evaluate_on_rank(rank, init_file, folder, result_file):
    """Two processes share five samples, so that the second rank repeats one."""
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{init_file}', rank=rank, world_size=2
    )
    samples = [sample(prediction(f % 3, pose(), id=f), tracked=False) for f in range(5)]
    shares = ([0, 2, 4], [1, 3, 0])
    metric = PoseTrackMetric(folder)
    metric.dataset_meta = META
    metric.process(None, [samples[i] for i in shares[rank]])
    metrics = metric.evaluate(size=5)
    with open(f'{result_file}{rank}', 'w') as file:
        json.dump(metrics, file)
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_result_of_one(folder, tmp_path):
    files = str(tmp_path / 'init'), str(folder), str(tmp_path / 'rank')
    mp.start_processes(evaluate_on_rank, files, nprocs=2, start_method='fork')
    alone = compute(
        PoseTrackMetric(str(folder)),
        [sample(prediction(f % 3, pose(), id=f)) for f in range(5)],
    )
    for rank in range(2):
        assert json.loads((tmp_path / f'rank{rank}').read_text()) == alone
