"""The smallest job: raysail submit -- python hello.py"""

import ray

ray.init()


@ray.remote
def square(x: int) -> int:
    return x * x


print(ray.get([square.remote(x) for x in range(4)]))
