# Prints what Ruby files ask for: a line "require FROM TO LINE PATH" for each file asked for by a
# path that needs no run to know, a line "constant FROM TO LINE NAME" for each constant that Zeitwerk
# loads, and a line "seen FILE" for each file that Ruby parses. Arguments: a directory, and a file
# with one path a line.
#
# Nothing of the package is run but its gemspecs, which say where its libraries are, and an
# application's initializer of Zeitwerk. Paths are found by Ruby's own search of `$LOAD_PATH`;
# roots of applications and engines are Rails', names of files below them Zeitwerk's.

require "pathname"
require "rails"
require "rails/engine"
require "zeitwerk"

AST = RubyVM::AbstractSyntaxTree

# What one file says.
class Reader
  attr_reader :requires, :constants, :defines, :roots

  def initialize(path)
    @path = path
    @requires, @constants, @defines, @roots = [], [], [], []
    @names = []
    @autoload = []
    visit(AST.parse(File.read(path), keep_script_lines: true), [])
  end

  private

  # `nesting` holds the full names of the modules around, innermost first.
  def visit(node, nesting)
    return unless node.is_a?(AST::Node)

    children = node.children
    case node.type
    when :MODULE, :CLASS
      return define(node, nesting)
    when :CDECL
      name = children[0].is_a?(Symbol) ? children[0].to_s : chain(children[0])&.join("::")
      @defines << full(name, nesting) if name
      return visit(children.last, nesting)
    when :CONST, :COLON2, :COLON3
      path = chain(node)
      return @constants << [path, nesting, node.first_lineno] if path
    when :ITER
      return if children[0].type == :FCALL && autoload_block(children[0], children[1], nesting)
    when :FCALL
      call(children[0], arguments(children[1]), nesting, node.first_lineno)
    when :CALL
      kernel = children[0].is_a?(AST::Node) && chain(children[0]) == ["Kernel"]
      call(children[1], arguments(children[2]), nesting, node.first_lineno) if kernel
    end
    children.each { |child| visit(child, nesting) }
  end

  def define(node, nesting)
    path, superclass, body = node.type == :CLASS ? node.children : [node.children[0], nil, node.children[1]]
    # Of `class A::B`, the constant `A` is used.
    visit(path.children[0], nesting) if path.type == :COLON2
    visit(superclass, nesting)
    parts = path.children[0].nil? ? [path.children.last.to_s] : chain(path)
    return visit(body, nesting) unless parts

    name = full(parts.join("::"), nesting)
    @defines << name
    base = superclass && chain(superclass)&.reject(&:empty?)&.join("::")
    @roots << [base, File.dirname(@path)] if ["Rails::Engine", "Rails::Application"].include?(base)
    visit(body, [name, *nesting])
  end

  def full(name, nesting)
    name.start_with?("::") ? name[2..] : [nesting.first, name].compact.join("::")
  end

  # The parts of a constant; an empty first one where it starts at the top, none where a part of
  # it is no constant.
  def chain(node)
    case node.type
    when :CONST then [node.children[0].to_s]
    when :COLON3 then ["", node.children[0].to_s]
    when :COLON2
      return [node.children[1].to_s] if node.children[0].nil?

      before = chain(node.children[0])
      before + [node.children[1].to_s] if before && node.children[1].match?(/\A[[:upper:]]/)
    end
  end

  def arguments(list)
    list&.type == :LIST ? list.children.compact : []
  end

  def call(name, given, nesting, line)
    case name
    when :require, :require_dependency, :load
      path = value(given[0])
      @requires << [name, path, line] if path
    when :require_relative
      path = value(given[0])
      @requires << [:require, File.expand_path(path, File.dirname(@path)), line] if path
    when :autoload
      path = given[1] ? value(given[1]) : active_support_path(given[0], nesting)
      @requires << [:autoload, path, line] if path
    end
  end

  # `autoload_under "folder" do … end` and its kin of ActiveSupport::Autoload.
  def autoload_block(call, block, nesting)
    name, list = call.children
    return unless %i[autoload_under autoload_at].include?(name) && (path = value(arguments(list)[0]))

    @autoload.push([name, path])
    visit(block, nesting)
    @autoload.pop
  end

  # What ActiveSupport::Autoload makes of a constant without a path, by asking it.
  def active_support_path(constant, nesting)
    return unless constant&.type == :LIT && constant.children[0].is_a?(Symbol) && nesting.first

    promised = nil
    around = Module.new
    around.define_singleton_method(:name) { nesting.first }
    # Ruby's own method would say nothing of a file that this program has loaded.
    around.define_singleton_method(:autoload) { |_, path| promised = path }
    around.singleton_class.prepend(ActiveSupport::Autoload)
    ActiveSupport::Autoload.extended(around)
    ask = -> { around.autoload(constant.children[0]) }
    @autoload.reverse_each { |method, path| ask = ask.then { |inner| -> { around.send(method, path, &inner) } } }
    ask.call
    promised
  end

  PATHS = %i[expand_path join dirname].freeze

  # The value of an expression of literals, `__dir__`, `__FILE__` and functions of paths.
  def value(node)
    eval(node.source, TOPLEVEL_BINDING, @path, node.first_lineno) if node && literal?(node)
  end

  def literal?(node)
    return true unless node.is_a?(AST::Node)

    children = node.children
    case node.type
    when :STR then true
    when :VCALL then children[0] == :__dir__
    when :CALL then chain(children[0]) == ["File"] && PATHS.include?(children[1]) && literal?(children[2])
    when :DSTR, :EVSTR, :LIST then children.all? { |child| literal?(child) }
    end
  end
end

# What `Rails` is for an initializer that speaks to Zeitwerk.
class Application
  attr_reader :root, :main

  def initialize(root, engine)
    @root, @main = Pathname(root), Zeitwerk::Loader.new
    paths = Rails::Engine::Configuration.new(@root)
    (paths.eager_load_paths + paths.autoload_paths + paths.autoload_once_paths).uniq.each { |path| @main.push_dir(path) }
    initializer = @root / "config/initializers/zeitwerk.rb"
    configure(initializer) if !engine && initializer.file?
  end

  # The constants by name, each with its file; none for a directory.
  def constants
    @main.send(:root_dirs).each_with_object({}) do |(directory, around), found|
      around = around == Object ? nil : around.name
      found[around] ||= nil if around
      walk(directory, around, found)
    end
  end

  private

  def walk(directory, around, found)
    @main.send(:ls, directory) do |basename, path|
      next if @main.send(:root_dirs).key?(path)
      name = [around, @main.inflector.camelize(basename.delete_suffix(".rb"), path)].compact.join("::")
      if File.file?(path)
        found[name] ||= path
      else
        found[name] = found[name]
        walk(path, name, found)
      end
    end
  end

  def configure(initializer)
    application = self
    Rails.define_singleton_method(:root) { application.root }
    Rails.define_singleton_method(:autoloaders) { Struct.new(:main) { include Enumerable; def each = yield(main) }.new(application.main) }
    # A namespace that a directory is pushed under has to be there.
    File.read(initializer).scan(/namespace: (\w+)/) { |(name)| Object.const_set(name, Module.new) unless Object.const_defined?(name) }
    load initializer.to_s
  end
end

root, list = ARGV
ROOT = File.realpath(root)
files = File.readlines(list, chomp: true).to_h do |path|
  [path, Reader.new("#{ROOT}/#{path}")]
rescue SyntaxError, ArgumentError, EncodingError
  [path, nil]
end.compact

# Directories of gems, each with what it puts on the load path.
gems = Dir["#{ROOT}/**/*.gemspec"].sort.to_h do |gemspec|
  spec = Dir.chdir(File.dirname(gemspec)) { Gem::Specification.load(gemspec) }
  [File.dirname(gemspec), (spec&.require_paths || ["lib"]).map { |path| File.expand_path(path, File.dirname(gemspec)) }]
end
gems[ROOT] ||= ["#{ROOT}/lib"]
STANDARD = $LOAD_PATH.grep(/#{Regexp.escape(RbConfig::CONFIG["rubylibprefix"])}/).freeze

# The file that a path asks for: those of the own gem first, then of the others, then Ruby's.
find = lambda do |from, how, path|
  own, others = gems.keys.sort_by { |gem| -gem.size }.partition { |gem| from.start_with?("#{gem}/") }
  tests = own.flat_map { |gem| %w[test spec].map { |name| "#{gem}/#{name}" } }.select { |path| from.start_with?("#{path}/") }
  return File.file?(path = File.expand_path(path, ROOT)) ? path : "#{path}.rb" if path.start_with?("./", "../")

  directories = own.flat_map { |gem| gems[gem] } + tests + others.flat_map { |gem| gems[gem] }
  return [*directories, ROOT].map { |directory| File.expand_path(path, directory) }.find { |file| File.file?(file) } if how == :load

  mine = $LOAD_PATH.dup
  begin
    $LOAD_PATH.replace(directories + STANDARD)
    $LOAD_PATH.resolve_feature_path(path)&.last
  ensure
    $LOAD_PATH.replace(mine)
  end
end

at = ->(path) { path.delete_prefix("#{ROOT}/") }
files.each do |path, reader|
  puts "seen\t#{path}"
  reader&.requires&.each do |how, wanted, line|
    to = find.call("#{ROOT}/#{path}", how, wanted)
    puts "require\t#{path}\t#{at.call(to)}\t#{line}\t#{wanted}" if to&.start_with?("#{ROOT}/") && at.call(to) != path && File.file?(to)
  end
end

# Applications and engines by their directories, each with the constants it loads.
projects = files.values.compact.flat_map do |reader|
  reader.roots.filter_map do |base, directory|
    kind = base == "Rails::Engine" ? Rails::Engine : Rails::Application
    root = kind.find_root(directory) rescue next
    [root.to_s, kind]
  end
end
projects = projects.uniq(&:first).select { |root, _| "#{root}/".start_with?("#{ROOT}/") }
projects = projects.sort_by { |root, _| -root.size }.to_h { |root, kind| [root, Application.new(root, kind == Rails::Engine).constants] }

files.each do |from, reader|
  around = projects.select { |root, _| "#{ROOT}/#{from}".start_with?("#{root}/") }.values
  next if reader.nil? || around.empty?

  # What the loaded files define inside their own constants is theirs too.
  known = around.reverse.inject({}, :merge)
  own = reader.defines.to_h { |name| [name, "#{ROOT}/#{from}"] }
  reader.constants.each do |path, nesting, line|
    scopes = path.first.empty? ? [nil] : [*nesting, nil]
    path = path.drop_while(&:empty?)
    scope = scopes.find { |scope| [own, known].any? { |names| names.key?([scope, path[0]].compact.join("::")) } }
    next if scope.nil? && [own, known].none? { |names| names.key?(path[0]) }

    names = (1..path.size).map { |size| [scope, *path.take(size)].compact.join("::") }
    names = names.take_while { |name| own.key?(name) || known.key?(name) }
    to = names.reverse.filter_map { |name| known[name] || own[name] }.first
    puts "constant\t#{from}\t#{at.call(to)}\t#{line}\t#{path.join("::")}" if to && at.call(to) != from
  end
end
