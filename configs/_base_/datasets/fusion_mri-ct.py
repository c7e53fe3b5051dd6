# MRI and CT: brain slices of the Whole Brain Atlas (Harvard), 256x256, both in gray.
# Tested on: everything in the folder.
#
# data/Harvard/CT-MRI
# ├── MRI/2004.png ...
# └── CT/2004.png ...
#
# The names of the folders may be in lower case. Run on 6 real pairs.
_base_ = 'infrared_visible_test.py'

data_root = 'data/Harvard/CT-MRI/'

test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(img_path='', partner_path=''),
        patterns=dict(img_path=r'(?:MRI|mri)/([^/]+)', partner_path=r'(?:CT|ct)/([^/]+)'),
    )
)
