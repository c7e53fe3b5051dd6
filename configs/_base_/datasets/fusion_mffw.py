# MFFW: pictures of different focus from the web, with a strong spread of defocus. Tested on: its 13 pairs.
#
# data/MFFW
# ├── 1_A.jpg    one focus
# ├── 1_B.jpg    the other
# └── ...
#
# Not run on the real files, only on a made-up copy of this layout.
_base_ = 'multi_focus_test.py'

data_root = 'data/MFFW/'

test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(img_path='', partner_path=''),
        patterns=dict(img_path=r'([^/]+)_A', partner_path=r'([^/]+)_B'),
    )
)
