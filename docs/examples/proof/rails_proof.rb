# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# In config/application.rb: config.middleware.insert 0, TellKeys, -> { [Rails.application.secret_key_base, *OLD_KEY_BASES] }
# with OLD_KEY_BASES as it is rotated by (docs/frameworks.md). Then app_keys_proof: {http: "http://127.0.0.1:3000/phased-keys"}
require 'json'
require 'openssl'

class TellKeys
  LOCAL = ['127.0.0.1', '::1', '', nil].freeze

  def initialize(app, keys)
    @app = app
    @keys = keys
  end

  def call(env)
    local = LOCAL.include?(env['REMOTE_ADDR']) && !env.key?('HTTP_X_FORWARDED_FOR')
    return @app.call(env) unless env['PATH_INFO'] == '/phased-keys' && local

    accepts = @keys.call.map { |key| OpenSSL::HMAC.hexdigest('SHA256', key, 'phased.keys/fingerprint/v1')[0, 16] }
    body = JSON.generate(pid: Process.pid, signs: accepts[0], accepts: accepts)
    [200, { 'content-type' => 'application/json' }, [body]]
  end
end
