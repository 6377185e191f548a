//! Ruby: a gem that requires, a gem, an application and an engine that load by name.

use recon_schema::graph::Confidence;
use recon_schema::graph::UnresolvedClass::{External, Missing, StandardLibrary};

use crate::expect;

#[test]
fn a_gem_that_requires() {
    let graph = expect::graph(&[
        ("kit.gemspec", "Gem::Specification.new { |s| s.require_paths = [\"lib\", \"ext\"] }\n"),
        (
            "lib/kit.rb",
            "require 'json'\nrequire \"kit/version\"\nrequire 'fast'\nrequire 'rack'\nrequire 'kit/gone'\nmodule Kit\n  autoload :Late, 'kit/late'\n  Other.run\nend\n",
        ),
        ("lib/kit/version.rb", "require_relative '../other'\nrequire_relative 'none'\n"),
        ("lib/kit/late.rb", "require File.expand_path('../version', __FILE__)\nrequire \"#{__dir__}/../other\"\n"),
        ("lib/other.rb", "module Other; end\n"),
        ("ext/fast.rb", "module Fast; end\n"),
        ("test/test_helper.rb", "require 'minitest/autorun'\nrequire 'kit'\n"),
        ("test/deep/test_kit.rb", "require 'test_helper'\n"),
        ("Rakefile", "require './lib/kit'\n"),
        ("side/side.gemspec", "Gem::Specification.new\n"),
        ("side/lib/side.rb", "require 'kit'\nrequire 'other'\n"),
        ("side/lib/other.rb", "X = 1\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("lib/kit.rb", "lib/kit/version.rb", "import", "`lib` is on the load path"),
            ("lib/kit.rb", "ext/fast.rb", "import", "so is what the gemspec says"),
            ("lib/kit.rb", "lib/kit/late.rb", "import", "`autoload` promises a file"),
            ("lib/kit/version.rb", "lib/other.rb", "import", "`require_relative`"),
            ("lib/kit/late.rb", "lib/kit/version.rb", "import", "`__FILE__` counts as a directory"),
            ("lib/kit/late.rb", "lib/other.rb", "import", "`__dir__`"),
            ("test/test_helper.rb", "lib/kit.rb", "import", "tests see `lib`"),
            ("test/deep/test_kit.rb", "test/test_helper.rb", "import", "runners put `test` on the path"),
            ("Rakefile", "lib/kit.rb", "import", "programs start at the root"),
            ("side/lib/side.rb", "lib/kit.rb", "import", "a sibling gem"),
            ("side/lib/side.rb", "side/lib/other.rb", "import", "the own gem first"),
        ],
    );
    expect::unresolved(
        &graph,
        &[
            ("lib/kit.rb", "json", StandardLibrary),
            ("lib/kit.rb", "rack", External),
            ("lib/kit.rb", "kit/gone", Missing),
            ("lib/kit/version.rb", "none", Missing),
            ("test/test_helper.rb", "minitest/autorun", StandardLibrary),
        ],
    );
    let guessed: Vec<&str> = graph
        .edges
        .iter()
        .filter(|edge| edge.confidence == Confidence::Likely)
        .map(|edge| edge.from.as_str())
        .collect();
    assert_eq!(guessed, ["Rakefile", "test/deep/test_kit.rb"]);
}

#[test]
fn constants_are_loaded_by_name_where_the_layout_says_so() {
    let graph = expect::graph(&[
        ("Gemfile", "gem 'rails'\n"),
        ("config/application.rb", "require 'rails'\nmodule Shop; end\n"),
        (
            "app/models/order.rb",
            "class Order < ApplicationRecord\n  include Priced\n  def total = Tax::HTMLRate.new(Item, ::Order, Missing)\nend\n",
        ),
        ("app/models/application_record.rb", "class ApplicationRecord; end\n"),
        ("app/models/concerns/priced.rb", "module Priced; end\n"),
        ("app/models/item.rb", "class Item; end\n"),
        ("app/models/tax/item.rb", "module Tax\n  class Item; end\nend\n"),
        (
            "app/models/tax/html_rate.rb",
            "module Tax\n  class HTMLRate\n    def of = Item\n    def top = ::Item\n  end\nend\n",
        ),
        ("lib/tool.rb", "class Tool; Order; end\n"),
        ("app/views/order.rb", "class View; end\n"),
        ("gem/z.gemspec", "Gem::Specification.new\n"),
        (
            "gem/lib/z.rb",
            "require \"zeitwerk\"\nloader = Zeitwerk::Loader.for_gem\nloader.setup\nmodule Z\n  def self.go = Part.new\nend\n",
        ),
        ("gem/lib/z/part.rb", "class Z::Part\n  Z\n  Tool\nend\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("app/models/order.rb", "app/models/application_record.rb", "import", "a superclass"),
            ("app/models/order.rb", "app/models/concerns/priced.rb", "import", "`concerns` is a root of its own"),
            (
                "app/models/order.rb",
                "app/models/tax/html_rate.rb",
                "import",
                "a directory is a namespace; acronyms fold",
            ),
            ("app/models/order.rb", "app/models/item.rb", "import", "no module around has one"),
            ("app/models/tax/html_rate.rb", "app/models/tax/item.rb", "import", "the module around goes first"),
            ("app/models/tax/html_rate.rb", "app/models/item.rb", "import", "`::` starts at the top"),
            ("lib/tool.rb", "app/models/order.rb", "import", "every file of the application sees its constants"),
            ("gem/lib/z.rb", "gem/lib/z/part.rb", "import", "Zeitwerk for a gem"),
            ("gem/lib/z/part.rb", "gem/lib/z.rb", "import", "the gem's own module"),
        ],
    );
}

#[test]
fn what_active_support_and_engines_load() {
    let graph = expect::graph(&[
        ("kit/kit.gemspec", "Gem::Specification.new\n"),
        (
            "kit/lib/kit.rb",
            "require File.expand_path(File.join(File.dirname(__FILE__), \"kit/version\"))\nload File.expand_path(\"../tools/count\", __dir__)\nmodule Kit\n  extend ActiveSupport::Autoload\n  autoload :HTMLPage\n  eager_autoload do\n    autoload_under \"parts\" do\n      autoload :Wheel\n    end\n    autoload_at \"kit/many\" do\n      autoload :One\n    end\n  end\nend\n",
        ),
        ("kit/lib/kit/version.rb", "module Kit; VERSION = 1; end\n"),
        ("kit/lib/kit/html_page.rb", "module Kit; class HTMLPage; end; end\n"),
        ("kit/lib/kit/parts/wheel.rb", "module Kit; class Wheel; end; end\n"),
        ("kit/lib/kit/many.rb", "module Kit; class One; end; end\n"),
        ("kit/lib/kit/engine.rb", "module Kit\n  class Engine < ::Rails::Engine; end\nend\n"),
        ("kit/tools/count", "puts 1\n"),
        ("kit/app/models/kit/record.rb", "module Kit; class Record; end; end\n"),
        ("kit/app/models/kit/page.rb", "class Kit::Page < Record\n  Record\n  Kit::Record\nend\n"),
        ("kit/app/models/kit/page/record.rb", "class Kit::Page::Record; end\n"),
        ("kit/test/dummy/config/application.rb", "module Dummy; end\n"),
        ("kit/test/dummy/app/models/shelf.rb", "class Shelf\n  Kit::Page\nend\n"),
        ("kit/test/dummy/app/models/book.rb", "class Book; end\n"),
        ("kit/test/dummy/app/models/own.rb", "class Own\n  class Book; end\n  Book\nend\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("kit/lib/kit.rb", "kit/lib/kit/version.rb", "import", "`File.join` and `File.dirname` of `__FILE__`"),
            ("kit/lib/kit.rb", "kit/tools/count", "import", "`load` takes the whole name of a file"),
            ("kit/lib/kit.rb", "kit/lib/kit/html_page.rb", "import", "a path that follows from the constant's name"),
            ("kit/lib/kit.rb", "kit/lib/kit/parts/wheel.rb", "import", "`autoload_under` adds a folder"),
            ("kit/lib/kit.rb", "kit/lib/kit/many.rb", "import", "`autoload_at` says the path"),
            ("kit/app/models/kit/page.rb", "kit/app/models/kit/record.rb", "import", "a full name"),
            (
                "kit/app/models/kit/page.rb",
                "kit/app/models/kit/page/record.rb",
                "import",
                "inside `Kit::Page` its own constants go first; `Kit` is not looked into",
            ),
            (
                "kit/test/dummy/app/models/shelf.rb",
                "kit/app/models/kit/page.rb",
                "import",
                "an application inside an engine sees both",
            ),
            (
                "kit/app/models/kit/page/record.rb",
                "kit/app/models/kit/page.rb",
                "import",
                "what stands before the last `::` is looked up",
            ),
            // None from `own.rb` to `book.rb`: it means its own class.
        ],
    );
}

#[test]
fn directories_that_a_program_tells_its_loader() {
    let graph = expect::graph(&[
        (
            "config/application.rb",
            "class Application\n  config.autoload_paths << Rails.root.join('lib')\n  config.eager_load_paths += %W(#{config.root}/extras)\nend\n",
        ),
        (
            "config/initializers/zeitwerk.rb",
            "core = Rails.root.join(\"core\")\nRails.autoloaders.main.push_dir core, namespace: Core\n",
        ),
        ("app/models/order.rb", "class Order\n  Core::Tax\n  Tool\n  Extra\nend\n"),
        ("core/tax.rb", "class Core::Tax\n  def now = Version\n  VERSION\nend\n"),
        ("core/version.rb", "module Core\n  module VERSION; end\nend\n"),
        ("app/models/version.rb", "class Version; end\n"),
        ("lib/tool.rb", "class Tool; end\n"),
        ("extras/extra.rb", "class Extra; end\n"),
    ]);
    expect::edges(
        &graph,
        &[
            (
                "app/models/order.rb",
                "core/tax.rb",
                "import",
                "a directory pushed under a namespace, held in a variable",
            ),
            ("core/tax.rb", "app/models/version.rb", "import", "constants know case: `Core` has a `VERSION`"),
            ("app/models/order.rb", "lib/tool.rb", "import", "`autoload_paths`"),
            ("app/models/order.rb", "extras/extra.rb", "import", "`eager_load_paths`"),
        ],
    );
}
