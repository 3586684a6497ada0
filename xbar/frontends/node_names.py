"""Names of nodes as the user knows them: the paths of their modules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch.fx import Node

from xbar.aten import Constants, Product, Unmappable


def module_path(node: Node) -> str:
    """Path of the module that a node was traced in (`layer1.0.conv1`), "" for the outermost one or where unknown."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = str(stack[-1][0]) if stack else ""
    return "" if path.startswith("_empty") else path


def name_products(products: Mapping[Node, Product | Unmappable], constants: Constants) -> dict[Node, str]:
    """A unique name for each product: its module's path, refined by the weight's where one module has several.

    `attn` with weight `attn.out_proj.weight` is `attn.out_proj`; the second use of one module is `attn.out_proj:2`.
    """
    names: dict[Node, str] = {}
    used: dict[str, int] = {}
    for node, product in products.items():
        parameter = _parameter(product.operand, constants)
        # an operation that hides several products is its whole module
        base = _base_name(node, parameter) if isinstance(product, Product) else module_path(node)
        base = base or _base_name(node, parameter)
        used[base] = used.get(base, 0) + 1
        names[node] = base if used[base] == 1 else f"{base}:{used[base]}"
    return names


def _base_name(node: Node, parameter: str | None) -> str:
    path = module_path(node)
    prefix = f"{path}." if path else ""
    if parameter is None or not parameter.startswith(prefix):
        return path or node.name
    rest = parameter[len(prefix) :].split(".")
    if "parametrizations" in rest:
        rest = rest[: rest.index("parametrizations")]
    elif rest[-1] in ("weight", "weight_g", "weight_v", "weight_orig"):
        rest = rest[:-1]
    elif rest[-1].endswith("_weight"):
        rest[-1] = rest[-1].removesuffix("_weight")
    # several weights in one module keep the weight's own name (`w`); a module's only weight gives the module's
    return prefix + ".".join(rest) if rest else path or node.name


def _parameter(node: Node, constants: Constants) -> str | None:
    """The first stored tensor that a constant is computed from."""
    found = constants.target(node)
    if found is not None:
        return found
    return next((t for n in node.all_input_nodes if (t := _parameter(n, constants)) is not None), None)


def unique_names(nodes: Iterable[Node], taken: Iterable[str]) -> dict[Node, str]:
    """A name for each node that runs digitally: its module's path where no other node has it, else path and node."""
    nodes, seen = list(nodes), set(taken)
    paths = [module_path(node) for node in nodes]
    return {
        node: path
        if path and paths.count(path) == 1 and path not in seen
        else ".".join(filter(None, [path, node.name]))
        for node, path in zip(nodes, paths, strict=True)
    }
