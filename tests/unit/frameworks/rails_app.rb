# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A whole Rails application in one file: rails_app.rb SNIPPET make|check. `make` prints what it signs with its keys as JSON, `check`
# reads such things by name and prints which of them it accepts. Without a snippet (-) it is Rails as it comes.

require "json"
require "logger"
require "rails"
require "action_controller/railtie"

class Application < Rails::Application
  config.root = __dir__
  config.load_defaults 6.1
  config.eager_load = false
  config.logger = Logger.new(File::NULL)
  config.hosts.clear
  initializer("phased_keys", before: :load_config_initializers) { load ARGV[0] } if ARGV[0] != "-"
end

class KeysController < ActionController::Base
  def make
    session[:who] = "alice"
    cookies.signed[:signed] = "alice"
    cookies.encrypted[:encrypted] = "alice"
    head :ok
  end

  def check
    render json: { session: session[:who], signed: cookies.signed[:signed], encrypted: cookies.encrypted[:encrypted] }
  end
end

Application.initialize!
Application.routes.draw do
  get "/make", to: "keys#make"
  get "/check", to: "keys#check"
end

def ask(path, cookie = "")
  status, headers, body = Application.call(Rack::MockRequest.env_for(path, "HTTP_COOKIE" => cookie))
  raise "#{path}: #{status}" unless status == 200
  text = +""
  body.each { |part| text << part }
  [headers["Set-Cookie"].to_s.lines.map { |line| line[/\A[^;]+/].strip }.join("; "), text]
end

NAMES = %w[ActiveStorage ours]
if ARGV[1] == "make"
  tokens = NAMES.to_h { |name| [name, Rails.application.message_verifier(name).generate("alice")] }
  puts JSON.generate("cookie" => ask("/make")[0], "tokens" => tokens)
else
  found = JSON.parse($stdin.read).transform_values do |made|
    seen = JSON.parse(ask("/check", made["cookie"])[1])
    made["tokens"].each { |name, token| seen[name] = Rails.application.message_verifier(name).verified(token) }
    seen.select { |_what, who| who == "alice" }.keys.sort
  end
  puts JSON.generate(found)
end
