"""What every tool does before it imports the package: import it to have it done.

From a checkout its own code runs, whatever is installed; upstream's known warnings, about which
whoever runs a tool can do nothing, are silenced; NumPy's linear algebra gets one thread. A library
must not do any of it.
"""

import os
import pathlib
import sys
import warnings

__all__ = ['KNOWN_WARNINGS']

# Deprecations that released code of upstream causes at every import or call.
# (message, category, module), each a pattern.
KNOWN_WARNINGS = (
    ('', DeprecationWarning, r'(mmengine|mmcv|mmdet|mmpose|mmagic|torch|pkg_resources|mim)\b'),
    ('', FutureWarning, r'(mmengine|mmcv|mmdet|mmpose|mmagic|torch|timm|transformers)\b'),
    ('pkg_resources is deprecated', UserWarning, ''),
    ('The metainfo config file', UserWarning, 'mmpose'),
    ("'pin_memory' argument is set as true but no accelerator", UserWarning, 'torch'),
    ('Grad strides do not match bucket view strides', UserWarning, 'torch'),
)

for _message, _category, _module in KNOWN_WARNINGS:
    warnings.filterwarnings('ignore', message=_message, category=_category, module=_module)

# Read when NumPy is loaded. Its matrices are small here (MMPose's decoding inverts 2x2 ones), and a
# second thread would wait for the next one at full speed: half of the processor's time of a video.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

_SOURCES = pathlib.Path(__file__).resolve().parents[1] / 'projects'
if (_SOURCES / 'star_pose').is_dir():
    sys.path.insert(0, str(_SOURCES))
