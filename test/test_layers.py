# ---- layers

MAY_IMPORT = {
    'errors': set(),
    'core': {'errors', 'core'},
    'heads': {'errors', 'core', 'heads'},
    'backends': {'errors', 'core', 'backends'},
    'sensors': {'errors', 'core', 'sensors'},
    'trackers': {'errors', 'core', 'trackers'},
    'nodes': {'errors', 'core', 'nodes'},
}
OUTSIDE = {
    'core': {'numpy'},
    'heads': {'numpy'},
    'backends': {'numpy'},
    'sensors': {'numpy'},
    'trackers': {'numpy'},
    'nodes': {'numpy', 'rclpy'},
    'errors': set(),
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize(
    'path', sorted(PACKAGE.rglob('*.py')), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_imports_point_inwards(path):
    layer = path.relative_to(PACKAGE).parts[0].removesuffix('.py')
    if layer == '__init__':
        return
    for name in imports(path):
        top, *rest = name.split('.')
        if top == 'edge_inference_ros':
            assert rest[0] in MAY_IMPORT[layer], f'{layer} may not import {name}'
        else:
            assert top in sys.stdlib_module_names | OUTSIDE[layer], f'{layer} may not import {top}'
