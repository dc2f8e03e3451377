# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frameworks that cannot be rolled in phases, or do it themselves, by every name that one would look for. Sources: theirs, and runs."""

from __future__ import annotations

ONE_KEY = "it takes one key and no list, so that hosts with the new one refuse what others signed"
ITSELF = "it phases its keys itself"

# Each: its names, what it is called, why it is refused, and what to do instead.
REFUSED = [
    (
        ["better-auth"],
        "Better Auth",
        "it rotates encrypted data alone: the session cookie is signed with the first secret and no other is tried",
        "keep its secret, or replace it in a maintenance window in which everybody is logged out",
    ),
    (
        ["iron-session"],
        "iron-session",
        "the highest id signs and readers look keys up by id, so that a new key signs as soon as it is there",
        "seal with the passwords cut at the id that signs and read with all of them, in code of your own, and describe that with the "
        "profile tornado",
    ),
    (
        ["netbox-peppers", "api-token-peppers"],
        "NetBox's API_TOKEN_PEPPERS",
        "the highest id signs and readers look keys up by id, so that a new pepper is used as soon as it is there",
        "replace it in a maintenance window",
    ),
    (
        ["netbox"],
        "NetBox's SECRET_KEY",
        ONE_KEY,
        "replace it in a maintenance window; its Django knows fallbacks, and NetBox's configuration does not pass them on",
    ),
    (
        ["superset", "apache-superset"],
        "Superset",
        "PREVIOUS_SECRET_KEY only feeds `superset re-encrypt-secrets`: between switch and command every stored password fails",
        "replace it in a maintenance window: stop all, switch, run the command, start all",
    ),
    (
        ["airflow-jwt", "airflow-jwt-secret"],
        "Airflow's jwt_secret",
        ONE_KEY,
        "use jwt_private_key_path with trusted_jwks_url, or replace it in a maintenance window; for its Fernet key the profile is airflow",
    ),
    (
        ["airflow-api", "airflow-secret-key", "airflow-webserver"],
        "Airflow's secret_key of [api] and [webserver]",
        ONE_KEY,
        "replace it in a maintenance window; for its Fernet key the profile is airflow",
    ),
    (
        ["simplejwt", "djangorestframework-simplejwt"],
        "simplejwt",
        ONE_KEY,
        "sign with an asymmetric key and give the readers JWK_URL, or replace it when its tokens have ended",
    ),
    (
        ["flask-jwt-extended"],
        "flask-jwt-extended",
        ONE_KEY,
        "choose the key by the token's header in a decode_key_loader of your own, or replace it when its tokens have ended",
    ),
    (
        ["fastapi-users"],
        "fastapi-users",
        ONE_KEY,
        "replace it when its tokens have ended, or use its database strategy",
    ),
    (
        ["next-auth-4", "next-auth"],
        "next-auth 4",
        ONE_KEY,
        "go to Auth.js 5, whose profile is authjs",
    ),
    (
        ["h3", "nuxt", "use-session", "nuxt-auth-utils"],
        "useSession of h3 and Nuxt",
        ONE_KEY,
        "replace it in a maintenance window",
    ),
    (
        ["hono"],
        "Hono's signed cookies",
        ONE_KEY,
        "verify with a second key in code of your own, and describe that with the profile express",
    ),
    (
        ["nestjs", "nestjs-jwt"],
        "NestJS jwt",
        ONE_KEY,
        "choose the key in a secretOrKeyProvider of your own, and describe that with the profile express",
    ),
    (
        ["starlette", "fastapi"],
        "Starlette's SessionMiddleware",
        "it takes one key, and a list silently becomes one key: every session of hosts with another list is refused",
        "sign with itsdangerous in a middleware of your own, whose profile is itsdangerous",
    ),
    (
        ["phoenix-token", "phoenix"],
        "Phoenix.Token",
        ONE_KEY,
        "verify with the old secret_key_base too in code of your own; Plug.Session has rotating_options",
    ),
    (
        ["symfony"],
        "Symfony's APP_SECRET",
        ONE_KEY,
        "replace it in a maintenance window: it ends signed URLs, remember-me logins and CSRF tokens",
    ),
    (
        ["cakephp"],
        "CakePHP's Security.salt",
        ONE_KEY,
        "replace it in a maintenance window",
    ),
    (
        ["yii2", "yii"],
        "Yii 2's cookieValidationKey",
        ONE_KEY,
        "replace it in a maintenance window",
    ),
    (
        ["drupal"],
        "Drupal's hash_salt",
        ONE_KEY,
        "replace it in a maintenance window",
    ),
    (
        ["craft", "craft-cms"],
        "Craft's security key",
        ONE_KEY,
        "keep it: it also encrypts stored data",
    ),
    (
        ["wordpress"],
        "WordPress's keys and salts",
        ONE_KEY,
        "replace them in a maintenance window, in which everybody is logged out",
    ),
    (
        ["oauth2-proxy"],
        "oauth2-proxy's cookie secret",
        ONE_KEY,
        "replace it in a maintenance window: everybody is sent to log in again",
    ),
    (
        ["kong", "kong-session"],
        "Kong's session plugin",
        ONE_KEY,
        "replace it in a maintenance window",
    ),
    (
        ["apisix", "apisix-openid-connect"],
        "APISIX's openid-connect",
        ONE_KEY,
        "replace it in a maintenance window",
    ),
    (
        ["actix-session", "actix"],
        "actix-session",
        ONE_KEY,
        "replace it in a maintenance window",
    ),
    (
        ["tower-sessions", "tower"],
        "tower-sessions",
        ONE_KEY,
        "replace it in a maintenance window",
    ),
    (
        ["axum", "axum-cookies", "axum-extra"],
        "axum's signed cookies",
        ONE_KEY,
        "verify with a second key in code of your own",
    ),
    (
        ["mastodon"],
        "Mastodon",
        ONE_KEY,
        "keep its SECRET_KEY_BASE; its ActiveRecord encryption keys are one each too",
    ),
    (
        ["discourse"],
        "Discourse",
        ONE_KEY,
        "replace it in a maintenance window",
    ),
    (
        ["authentik"],
        "authentik's secret key",
        ONE_KEY,
        "keep it, or replace it in a maintenance window",
    ),
    (
        ["sentry"],
        "Sentry's system.secret-key",
        ONE_KEY,
        "replace it in a maintenance window",
    ),
    (
        ["nextcloud"],
        "Nextcloud's secret",
        ONE_KEY,
        "keep it: it also encrypts stored passwords",
    ),
    (
        ["spring-remember-me", "spring-security", "spring"],
        "Spring's remember-me",
        ONE_KEY,
        "replace it in a maintenance window, or use persistent tokens, which need no key",
    ),
    (
        ["aspnet", "aspnetcore", "data-protection"],
        "ASP.NET Data Protection",
        ITSELF,
        "leave it alone: it makes a key every 90 days and uses it by a clock; share its key ring between the hosts",
    ),
    (
        ["consul", "consul-gossip"],
        "Consul's gossip encryption",
        ITSELF,
        "leave it alone, and use `consul keyring`",
    ),
    (
        ["nomad", "nomad-gossip"],
        "Nomad",
        ITSELF,
        "leave it alone, and use `nomad operator`",
    ),
    (
        ["vault", "vault-transit"],
        "Vault's transit keys",
        ITSELF,
        "leave it alone: keys have versions there, and old ones go by min_decryption_version",
    ),
    (
        ["dex"],
        "Dex",
        ITSELF,
        "leave it alone: it rotates its signing keys by a clock",
    ),
    (
        ["caddy"],
        "Caddy's ticket keys",
        ITSELF,
        "leave it alone: its storage shares them between the hosts",
    ),
    (
        ["grafana"],
        "Grafana",
        "its data keys rotate inside, under one secret_key",
        "leave it alone, and rotate data keys by its own command",
    ),
    (
        ["n8n"],
        "n8n",
        "its data keys rotate inside, under one encryption key",
        "leave it alone",
    ),
]
