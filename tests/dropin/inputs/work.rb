# Strings, hashes, threads, fork and garbage collection; prints results that do not change.
require 'digest'
require 'json'

def churn(seed)
  value = seed
  kept = {}
  20_000.times do
    value = (value * 1_103_515_245 + 12_345) & 0x7fffffff
    kept[value % 997] = 'x' * (value % 700)
  end
  kept.values.sum(&:size)
end

p Array.new(6) { |i| Thread.new { churn(i) } }.map(&:value)
5.times do |i|
  pid = fork { churn(i); GC.start; exit!(i) }
  _, status = Process.wait2(pid)
  print status.exitstatus, ' '
end
puts
text = JSON.generate((0...20_000).map { |i| { id: i, name: "name #{i}" } })
puts Digest::SHA256.hexdigest(text)[0, 16], JSON.parse(text).size
puts text.scan(/\d+7"/).size, text.gsub(/(\d)(\d)/, '\2\1').hash == 0
puts Digest::MD5.hexdigest((1..30_000).map { |i| (i * 7919 % 10_007).to_s }.sort.join(','))
10.times { GC.start }
puts (2**20_000).to_s.size
