# TNO: military scenes, visible images in gray. The release is a collection of folders by camera; papers test on 20 to
# 45 pairs of their choice, rearranged as below. Tested on: everything in the folder.
#
# data/TNO
# ├── vi/01.png ...    or visible/01.png ...
# └── ir/01.png ...    or infrared/01.png ...
#
# Not run on the real files, only on a made-up copy of this layout.
_base_ = 'infrared_visible_test.py'

data_root = 'data/TNO/'

test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(img_path='', partner_path=''),
        patterns=dict(img_path=r'(?:vi|visible)/([^/]+)', partner_path=r'(?:ir|infrared)/([^/]+)'),
    )
)
