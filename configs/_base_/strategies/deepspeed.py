# ZeRO stage 2 by DeepSpeed in float32, see docs/en/user_guides/distributed.md for what else a config needs.
# DeepSpeed's bf16 and fp16 convert the weights, which the networks here do not take: they are made for autocast.
runner_type = 'FlexibleRunner'
strategy = dict(
    type='DeepSpeedStrategy',
    zero_optimization=dict(stage=2),
    gradient_clipping=20 / 16,
    gradient_accumulation_steps=1,
)
