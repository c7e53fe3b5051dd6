# M3FD: roads, campus and seaside, 1024x768, 4,200 pairs. Its authors publish no split: every fifth pair is validation.
# Checked on made-up copies of this tree.
#
# data/M3FD_Detection
# ├── Vis/00000.png ...
# ├── Ir/00000.png ...
# ├── Annotation/00000.xml ...
# └── annotations/{visible,infrared}_{train,val}.json     by tools/dataset_converters/detection2coco.py m3fd
#
# What a detector's config takes from here has names of its own, so that any config of mmdet can stand beside it.
pair_root = 'data/M3FD_Detection/'
metainfo = dict(
    classes=('People', 'Car', 'Bus', 'Motorcycle', 'Lamp', 'Truck'),
    palette=[(220, 20, 60), (0, 0, 142), (0, 60, 100), (0, 0, 230), (250, 170, 30), (0, 0, 70)],
)
num_classes = 6
pair_scale = (1024, 768)

pair_meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
load_pair = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdefusion.LoadPairedImage', path_map=('/Vis/', '/Ir/')),
]
train_set = dict(
    data_root=pair_root,
    ann_file='annotations/visible_train.json',
    data_prefix=dict(img=''),
    metainfo=metainfo,
    pipeline=[
        *load_pair,
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='RandomResize', scale=pair_scale, ratio_range=(0.8, 1.25), keep_ratio=True),
        dict(type='RandomFlip', prob=0.5),
        dict(type='mmdefusion.ApplyToSource', index=0, transforms=[dict(type='PhotoMetricDistortion')]),
        dict(type='PackDetInputs'),
    ],
)
val_set = dict(
    data_root=pair_root,
    ann_file='annotations/visible_val.json',
    data_prefix=dict(img=''),
    metainfo=metainfo,
    pipeline=[
        *load_pair,
        dict(type='Resize', scale=pair_scale, keep_ratio=True),
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='PackDetInputs', meta_keys=pair_meta_keys),
    ],
)
pair_tta_pipeline = [
    *load_pair,
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=scale, keep_ratio=True) for scale in ((768, 576), pair_scale, (1280, 960))],
            [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)],
            [dict(type='LoadAnnotations', with_bbox=True)],
            [dict(type='PackDetInputs', meta_keys=(*pair_meta_keys, 'flip', 'flip_direction'))],
        ],
    ),
]
pair_tta_model = dict(type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100))
val_ann_file = pair_root + val_set['ann_file']
pair_visualizer = dict(type='mmdefusion.PairedDetLocalVisualizer', path_map=('/Vis/', '/Ir/'))
