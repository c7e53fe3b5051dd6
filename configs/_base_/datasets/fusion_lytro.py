# Lytro: 20 pairs of different focus from a light field camera, 520x520. Tested on: all.
#
# data/Lytro
# ├── lytro-01-A.jpg    one focus; triples (lytro-series-...) are left out
# ├── lytro-01-B.jpg    the other
# └── ...
#
# or, in two folders:
#
# data/Lytro
# ├── a/lytro_01.png ...
# └── b/lytro_01.png ...
#
# Run on the real files in the second layout, on a made-up copy in the first.
_base_ = 'multi_focus_test.py'

data_root = 'data/Lytro/'

test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(img_path='', partner_path=''),
        patterns=dict(img_path=r'(lytro-\d+)-A|a/([^/]+)', partner_path=r'(lytro-\d+)-B|b/([^/]+)'),
    )
)
