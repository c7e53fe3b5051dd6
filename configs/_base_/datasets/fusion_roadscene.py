# RoadScene: 221 pairs of road scenes from FLIR's videos, about 520x300. Tested on: the standard 50.
#
# data/RoadScene
# ├── vi/FLIR_00006.jpg ...    or, as released, crop_LR_visible/FLIR_00006.jpg ...
# └── ir/FLIR_00006.jpg ...    or cropinfrared/FLIR_00006.jpg ...
#
# splits/roadscene_{train,val,test}.txt hold 149, 22 and 50 names. Run on the real files, in the first layout.
_base_ = 'infrared_visible_test.py'

data_root = 'data/RoadScene/'

test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='{{ fileDirname }}/splits/roadscene_test.txt',
        data_prefix=dict(img_path='', partner_path=''),
        patterns=dict(
            img_path=r'(?:vi|crop_LR_visible)/([^/]+)',
            partner_path=r'(?:ir|cropinfrared)/([^/]+)',
        ),
    )
)
