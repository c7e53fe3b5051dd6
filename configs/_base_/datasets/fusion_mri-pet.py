# MRI and PET: brain slices of the Whole Brain Atlas (Harvard), 256x256, PET in colour.
# Tested on: everything in the folder.
#
# data/Harvard/PET-MRI
# ├── MRI/2004.png ...
# └── PET/2004.png ...
#
# The names of the folders may be in lower case. Run on 11 real pairs.
_base_ = 'infrared_visible_test.py'

data_root = 'data/Harvard/PET-MRI/'

test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(img_path='', partner_path=''),
        patterns=dict(img_path=r'(?:MRI|mri)/([^/]+)', partner_path=r'(?:PET|pet)/([^/]+)'),
    )
)
