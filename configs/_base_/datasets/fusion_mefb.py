# MEFB: 100 pairs of different exposure, sizes from 226 to several thousand pixels. Tested on: all.
#
# data/MEFB
# └── input
#     └── Arno
#         ├── Arno_A.png    one exposure; other files in the folder are left out
#         └── Arno_B.png    the other
#
# or, in two folders:
#
# data/MEFB
# ├── under/Arno.png ...
# └── over/Arno.png ...
#
# Run on 25 real pairs in the second layout, on a made-up copy in the first.
_base_ = 'multi_exposure_test.py'

data_root = 'data/MEFB/'

test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(img_path='', partner_path=''),
        patterns=dict(
            img_path=r'input/([^/]+)/[^/]+_A|under/([^/]+)',
            partner_path=r'input/([^/]+)/[^/]+_B|over/([^/]+)',
        ),
    )
)
