"""One file a gateway; behind those that speak HTTP, `http_gateway.HttpGateway`, on which a plugin may build as well.

Two modules are no gateways but need the same connections: `webhook` tells somebody of a night, and `probe_client` asks
as an app would, for `evalkit verify-gateway`.
"""
