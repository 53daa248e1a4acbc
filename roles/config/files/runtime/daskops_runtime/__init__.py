"""What the scheduler, the workers and the nannies of a `daskops.cluster` cluster load besides Dask.

`scheduler`, `worker` and `nanny` are preload modules; `summary`, `pages` and `shutdown` are modules with HTTP routes. The
other modules are their parts. Nothing here does anything when it is imported: Dask imports a preload up to three times.
"""
