"""PoseTrack's evaluation in NumPy: what poseval computes, from files or from a model's outputs.

It imports neither MMPose nor torch, and nothing else of this package.

- Reads: ``read_labels``, ``read_predictions`` and, for PoseTrack17's form, ``annolist``.
- Holds: ``tables`` (frames and persons as columns), ``joints``.
- Scores: ``score_ap``, ``score_mota``; ``evaluate`` runs both and lays out their tables.
- Reports: ``report_pictures``; ``write_submission`` writes and checks what a server reads.
"""
