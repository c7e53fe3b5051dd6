# Real-MFF: 710 pairs of different focus from a light field camera, with the truth, 625x433. Tested on: all.
#
# data/Real-MFF
# ├── imageA/001_A.png ...
# ├── imageB/001_B.png ...
# └── Fusion/001_F.png ...
#
# Not run on the real files, only on a made-up copy of this layout.
_base_ = 'multi_focus_truth_test.py'

data_root = 'data/Real-MFF/'

test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(img_path='imageA', partner_path='imageB', gt_path='Fusion'),
        patterns=dict(img_path=r'(\d+)_A', partner_path=r'(\d+)_B', gt_path=r'(\d+)_F'),
    )
)
