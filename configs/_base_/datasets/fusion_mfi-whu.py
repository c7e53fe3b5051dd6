# MFI-WHU: 120 pairs of different focus, made from sharp photos, which are the truth. Tested on: all.
#
# data/MFI-WHU
# ├── source_1/1.jpg ...
# ├── source_2/1.jpg ...
# └── full_clear/1.jpg ...
#
# Not run on the real files, only on a made-up copy of this layout.
_base_ = 'multi_focus_truth_test.py'

data_root = 'data/MFI-WHU/'

test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(img_path='source_1', partner_path='source_2', gt_path='full_clear'),
    )
)
