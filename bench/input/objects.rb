# Orders of a shop as objects, hashes and strings; grouped, sorted, and printed as text.
# usage: objects.rb <orders>
Item = Struct.new(:name, :cents, :tags)

class Order
  attr_reader :customer, :items, :notes

  def initialize(random, number)
    @customer = "customer #{random.rand(4000)}"
    @items = Array.new(1 + random.rand(6)) do
      Item.new("item #{random.rand(9000)}", random.rand(10_000),
               %w[red blue green].sample(2, random: random))
    end
    @notes = "order #{number}: " + 'remark ' * random.rand(40)
  end

  def cents = @items.sum(&:cents)
end

random = Random.new(3)
orders = Array.new(ARGV[0].to_i) { |number| Order.new(random, number) }
by_customer = orders.group_by(&:customer)
ranking = by_customer.map { |name, list| [name, list.sum(&:cents)] }
                     .sort_by { |name, sum| [-sum, name] }
index = Hash.new { |hash, key| hash[key] = [] }
orders.each { |order| order.items.each { |item| index[item.name.sub(/\d$/, '*')] << item.cents } }
tags = orders.flat_map { |order| order.items.flat_map { |item| item.tags.map(&:upcase) } }.tally
report = String.new
ranking.each do |name, sum|
  by_customer[name].each do |order|
    remark = order.notes[0, 60].split.reverse.join('-')
    report << name.tr('a-e', 'A-E') << format(' %d %s', sum, remark) << "\n"
  end
end
lines = report.lines.map { |line| line.gsub(/\d+/) { |digits| (digits.to_i + 1).to_s } }
puts ranking.first.inspect, index.size, tags.sort.inspect, report.size, lines.sum(&:size)
