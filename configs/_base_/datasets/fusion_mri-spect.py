# MRI and SPECT: brain slices of the Whole Brain Atlas (Harvard), 256x256, SPECT in colour.
# Tested on: everything in the folder.
#
# data/Harvard/SPECT-MRI
# ├── MRI/2004.png ...
# └── SPECT/2004.png ...
#
# The names of the folders may be in lower case. Run on 19 real pairs.
_base_ = 'infrared_visible_test.py'

data_root = 'data/Harvard/SPECT-MRI/'

test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(img_path='', partner_path=''),
        patterns=dict(img_path=r'(?:MRI|mri)/([^/]+)', partner_path=r'(?:SPECT|spect)/([^/]+)'),
    )
)
