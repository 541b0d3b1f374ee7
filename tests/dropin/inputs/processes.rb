# Threads that fork and read pipes, at_exit, Ractors, GC in children; prints what is fixed.
require 'open3'
require 'zlib'

def churn(seed)
  list = (1..3000).map { |i| "#{i * seed % 977}" * (i % 30) }
  list.sort.join.hash == list.shuffle.sort.join.hash ? list.sum(&:size) : -1
end

$stdout.sync = true
threads = Array.new(6) do |i|
  Thread.new do
    Array.new(4) do |j|
      reader, writer = IO.pipe
      pid = fork do
        reader.close
        GC.start
        writer.write churn(i + j + 1).to_s
        exit!(j)
      end
      writer.close
      text = reader.read
      Process.wait(pid)
      "#{text}:#{$?.exitstatus}"
    end
  end
end
threads.each { |thread| puts thread.value.join(' ') }

puts Array.new(4) { |i| Thread.new { Open3.capture2('sort -n', stdin_data: (1..2000).map { |n| n * 7919 % 2003 }.join("\n"))[0].size + i } }.map(&:value).inspect

ractors = Array.new(3) { |i| Ractor.new(i + 1) { |n| (1..20_000).map { |x| (x * n).to_s }.join.size } }
puts ractors.map(&:take).inspect

data = (0...200_000).map { |i| (i * i % 251).chr }.join
puts Zlib::Inflate.inflate(Zlib::Deflate.deflate(data, 9)) == data
pid = fork { at_exit { puts 'at exit in the child' }; churn(3) }
Process.wait(pid)
GC.compact if GC.respond_to?(:compact)
puts GC.start.inspect
