# Parameters, gradients and optimizer state spread over all processes; checkpoints stay whole, see
# docs/en/user_guides/distributed.md.
runner_type = 'FlexibleRunner'
strategy = dict(type='mmdefusion.FullyShardStrategy')
