# Ablation: without the distance between both common parts.
_base_ = 'defusion-pp_nano_mcud_1xb16-10e_photos-roadscene-msrs-160px.py'

model = dict(mcud_head=dict(consistency_weight=0.0))
