"""Building the gateway a project names, with its keys; and the embedded one when it is asked for."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from evalkit.errors import InputError, Place
from evalkit.pipeline.threads import run_to_end
from evalkit.plugins import GatewayContext, load_plugin
from evalkit.settings import expand_headers, read_environment, secret_reader
from evalkit.simulator.book import book_from_project
from evalkit.simulator.options import ServerOptions
from evalkit.simulator.process import SimulatorProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from evalkit.domain.project import GatewayConfig, Project, SimulatorConfig
    from evalkit.plugins import Gateway, Profile

__all__ = ["build_baseline", "build_gateway", "pause_scale", "server_options"]

_BASELINE = "/baseline_gateway"


@asynccontextmanager
async def build_gateway(project: Project) -> AsyncIterator[Gateway]:
    """Open the project's gateway; a `simulator` without a base URL is started here, and ends with the context.

    Raises:
        InputError: for an unknown kind, a missing base URL, a key that cannot be read, or a model that this kind of
            gateway cannot be asked for.
    """
    config = project.config.gateway
    if config.kind == "simulator" and config.base_url is None:
        process = SimulatorProcess(book_from_project(project), server_options(config.simulator))
        try:
            await run_to_end(process.__enter__)
            own = config.model_copy(update={"base_url": process.base_url})
            async with _opened(project, own) as gateway:
                yield gateway
        finally:
            await run_to_end(partial(process.__exit__, None, None, None))
    else:
        async with _opened(project, config) as gateway:
            yield gateway


@asynccontextmanager
async def build_baseline(project: Project) -> AsyncIterator[Gateway | None]:
    """Open the project's baseline gateway; None when it has none, or sends no calls there.

    Raises:
        InputError: as `build_gateway` does.
    """
    config = project.config.baseline_gateway
    if config is None or not project.config.n_direct:
        yield None
        return
    async with AsyncExitStack() as stack:
        try:
            gateway = await stack.enter_async_context(_opened(project, config, is_baseline=True))
        except InputError as error:
            raise _placed_in_baseline(error) from error
        yield gateway


def pause_scale(project: Project, gateway: Gateway) -> float:
    """Return the factor on pauses of our own: against the simulator they shrink with its time: nobody waits for it."""
    return max(0.01, project.config.gateway.simulator.time_scale) if gateway.profile.is_simulated else 1.0


def _placed_in_baseline(error: InputError) -> InputError:
    """Return the error at its place in the configuration of the baseline gateway; gateways only know their own part."""
    place = error.place
    if place is not None and place.pointer is not None and place.pointer.startswith("/gateway"):
        place = replace(place, pointer=_BASELINE + place.pointer.removeprefix("/gateway"))
    return InputError(error.problem, place=place, next_step=error.next_step)


def server_options(config: SimulatorConfig, *, port: int = 0, key: str | None = None) -> ServerOptions:
    """Return how the embedded gateway behaves for a project's configuration."""
    return ServerOptions(host=config.host, port=port, time_scale=config.time_scale, seed=config.seed, key=key)


@asynccontextmanager
async def _opened(project: Project, config: GatewayConfig, *, is_baseline: bool = False) -> AsyncIterator[Gateway]:
    environ = read_environment()
    factory = load_plugin("gateways", config.kind)
    read_key = secret_reader(config, environ, project.root)
    read_model_key: Callable[[str], str | None] = _no_model_key
    if config.recordings is None:  # recordings need no key, not even one that can be read
        read_key()  # a missing key is the user's mistake: say so before anything is sent
        # A model's own key is for the gateway: sent to another address it would be given away.
        read_model_key = _no_model_key if is_baseline else _model_keys(project)
    context = GatewayContext(
        config=config.model_copy(update={"headers": expand_headers(config.headers, environ)}),
        limits=project.config.limits,
        read_key=read_key,
        read_model_key=read_model_key,
        resolve_path=lambda path: str(project.root / path),
    )
    gateway: Gateway = factory(context)
    try:
        _check_models(project, gateway.profile)
        yield gateway
    finally:
        await gateway.aclose()


def _check_models(project: Project, profile: Profile) -> None:
    """Say before anything is sent which model of the roster this kind of gateway cannot be asked for."""
    for model in project.roster.everyone:
        try:
            profile.body_for(model)
            profile.headers_for(model)
        except InputError as error:
            place = Place(file=project.config.roster, pointer=f"/models/{model.id}")
            raise InputError(error.problem, place=place, next_step=error.next_step) from error


def _no_model_key(_model_id: str) -> str | None:
    return None


def _model_keys(project: Project) -> Callable[[str], str | None]:
    environ = read_environment()
    readers = {
        model.id: secret_reader(
            model, environ, project.root, place=Place(file=project.config.roster, pointer=f"/models/{model.id}")
        )
        for model in project.roster.everyone
        if model.api_key_env or model.api_key_file or model.api_key_command
    }
    for read in readers.values():
        read()
    return lambda model_id: readers[model_id]() if model_id in readers else None
