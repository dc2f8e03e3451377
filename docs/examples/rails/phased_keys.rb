# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# config/initializers/phased_keys.rb: accept what the keys in SECRET_KEY_BASE_PREVIOUS have signed and encrypted.
# Rails reads that setting in no version by itself. Signed and encrypted cookies (so sessions) and everything of
# Rails.application.message_verifier: ActiveStorage's URLs, and verifiers of your own. Run with Rails 6.1; 7.1 and later have
# message_verifiers.rotate, which is used where it is there, and was not run here.

previous = ENV.fetch("SECRET_KEY_BASE_PREVIOUS", "").split(",").reject(&:empty?)
# By the application's own setting, which Rails 7.0 gives to its generators only after the initializers; none before 7.0.
digest = Rails.application.config.active_support.key_generator_hash_digest_class || OpenSSL::Digest::SHA1
generators = previous.map { |key| ActiveSupport::KeyGenerator.new(key, iterations: 1000, hash_digest_class: digest) }

Rails.application.config.action_dispatch.cookies_rotations.tap do |cookies|
  dispatch = Rails.application.config.action_dispatch
  generators.each do |generator|
    length = ActiveSupport::MessageEncryptor.key_len(dispatch.encrypted_cookie_cipher || "aes-256-gcm")
    cookies.rotate :encrypted, generator.generate_key(dispatch.authenticated_encrypted_cookie_salt, length)
    cookies.rotate :signed, generator.generate_key(dispatch.signed_cookie_salt)
  end
end

if Rails.application.respond_to?(:message_verifiers)
  previous.each { |key| Rails.application.message_verifiers.rotate(secret_key_base: key) }
else
  # A verifier is made once for each name, and has to rotate before anybody asks it.
  Rails.application.singleton_class.prepend(Module.new do
    define_method(:message_verifier) do |name|
      rotated = (@phased_keys_rotated ||= {})
      rotated[name] ||= super(name).tap do |verifier|
        generators.each { |generator| verifier.rotate(generator.generate_key(name.to_s)) }
      end
    end
  end)
end
