//! C#: namespaces, every kind of `using`, partial types, projects that see each other or do not.

use recon_schema::graph::Confidence;
use recon_schema::graph::UnresolvedClass::{External, Missing, StandardLibrary};

use crate::expect;

#[test]
fn names_mean_what_is_in_scope() {
    let graph = expect::graph(&[
        ("App.csproj", "<Project><ItemGroup><Using Include=\"Shop.Wide\" /></ItemGroup></Project>"),
        (
            "Program.cs",
            "using System.Linq;\nusing Shop.Prices;\nusing static Shop.Tools.Text;\nusing Old = Shop.Legacy.Order;\nusing Newtonsoft.Json;\nusing Shop.Gone;\n\
             namespace Shop;\nclass Program {\n  Price _p = new Price();\n  Old _o;\n  void Run(Cart cart) { Print(\"\"); var far = Outer.Deep.Far.Make(); cart.Total(); Order.Of(); }\n  Everywhere e; Broad b; Rate[] r; Price.Kind k; [Marked] int m;\n}\n",
        ),
        ("Global.cs", "global using Shop.Global;\n"),
        ("Cart.cs", "namespace Shop { public partial class Cart { public int Total() => 1; } }\n"),
        ("Cart.More.cs", "namespace Shop { public partial class Cart { int Tax => 2; } }\n"),
        ("Price.cs", "namespace Shop.Prices;\npublic record Price(int Cents) { public enum Kind { Net } }\n"),
        ("Order.cs", "namespace Shop.Legacy { class Order { } }\n"),
        ("Order2.cs", "namespace Shop { class Order { public static void Of() { } } }\n"),
        ("Text.cs", "namespace Shop.Tools { static class Text { public static void Print(string s) { } } }\n"),
        ("Far.cs", "namespace Shop.Outer.Deep { class Far { public static int Make() => 1; } }\n"),
        ("Everywhere.cs", "namespace Shop.Global { class Everywhere { } }\n"),
        ("Broad.cs", "namespace Shop.Wide { class Broad { } }\n"),
        ("Rate.cs", "class Rate { }\n"),
        ("Marked.cs", "namespace Shop { class MarkedAttribute : System.Attribute { } }\n"),
        ("Hidden.cs", "namespace Elsewhere { class Price { } class Linq { } }\n"),
        (
            "Local.cs",
            "namespace Shop { class Local { int Price; void F(int Cart) { Cart.ToString(); Price.ToString(); } } }\n",
        ),
    ]);
    expect::edges(
        &graph,
        &[
            ("Program.cs", "Price.cs", "import", "a type of a namespace that is used"),
            ("Program.cs", "Text.cs", "import", "`using static` names a type"),
            ("Program.cs", "Order.cs", "import", "an alias names a type"),
            ("Program.cs", "Order2.cs", "import", "a type of the own namespace goes before what is used"),
            ("Program.cs", "Cart.cs", "import", "a partial type is all its parts"),
            ("Program.cs", "Cart.More.cs", "import", "a partial type is all its parts"),
            ("Program.cs", "Far.cs", "import", "a chain starts at a namespace around"),
            ("Program.cs", "Everywhere.cs", "import", "`global using` serves every file"),
            ("Program.cs", "Broad.cs", "import", "so does `Using` of the project"),
            ("Program.cs", "Rate.cs", "import", "the namespace around all is the last"),
            ("Program.cs", "Marked.cs", "import", "an attribute's name may leave out its ending"),
        ],
    );
    expect::unresolved(
        &graph,
        &[
            ("Program.cs", "System.Linq", StandardLibrary),
            ("Program.cs", "Newtonsoft.Json", External),
            ("Program.cs", "Shop.Gone", Missing),
        ],
    );
    assert!(graph.edges.iter().all(|edge| edge.confidence == Confidence::Exact));
    let price = graph.edges.iter().find(|edge| edge.to == "Price.cs").unwrap();
    assert_eq!(price.names, ["Kind", "Price"]);
}

#[test]
fn a_member_may_be_called_like_its_type_and_a_type_parameter_hides_one() {
    let graph = expect::graph(&[
        (
            "Box.cs",
            "class Box<Item> {\n  public Colour Colour;\n  Shape? Shape;\n  Item item;\n  bool F(object x, int Size) { return x is Round || x is Square || Size.Max > 0; }\n}\n",
        ),
        ("Colour.cs", "enum Colour { Red }\n"),
        ("Shape.cs", "struct Shape { }\n"),
        ("Item.cs", "class Item { }\n"),
        ("Round.cs", "class Round { }\n"),
        ("Square.cs", "class Square { }\n"),
        ("Size.cs", "class Size { public static int Max; }\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("Box.cs", "Colour.cs", "import", "a field hides no type where a type must stand"),
            ("Box.cs", "Shape.cs", "import", "nor where it may be null"),
            ("Box.cs", "Round.cs", "import", "the first of two patterns"),
            ("Box.cs", "Square.cs", "import", "and the second"),
            // None to `Item.cs`, which a type parameter hides, nor to `Size.cs`: a parameter.
        ],
    );
}

#[test]
fn a_namespace_with_a_body_that_the_grammar_does_not_accept() {
    let graph = expect::graph(&[
        (
            "Keys.cs",
            "namespace Input\n{\n    public struct Keys\n    {\n        public Key Last;\n        int F(int x)\n        {\n            unchecked\n            {\n#if A\n                if (x > 0) {\n#else\n                if (x > 1) {\n#endif\n                    return 1;\n                }\n            }\n            return 2;\n        }\n    }\n}\n",
        ),
        ("Key.cs", "namespace Input { public enum Key { A } }\n"),
        ("Use.cs", "namespace Input { class Use { Keys keys; } }\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("Keys.cs", "Key.cs", "import", "a name of the own namespace"),
            ("Use.cs", "Keys.cs", "import", "the namespace is known by its head"),
        ],
    );
}

#[test]
fn projects_see_what_they_reference() {
    let item = |name: &str| format!("namespace Common {{ public class {name} {{ }} }}\n");
    let graph = expect::graph(&[
        ("A/A.csproj", "<Project><ProjectReference Include=\"..\\B\\B.csproj\" /></Project>"),
        ("A/Use.cs", "using Common;\nclass Use { Shared s; Only o; Deep d; }\n"),
        ("B/B.csproj", "<Project>\n<ProjectReference Include=\"..\\C\\C.csproj\" />\n</Project>"),
        ("B/Shared.cs", &item("Shared")),
        ("C/C.csproj", "<Project></Project>"),
        ("C/Deep.cs", &item("Deep")),
        ("D/D.csproj", "<Project></Project>"),
        ("D/Shared.cs", &item("Shared")),
        ("D/Only.cs", &item("Only")),
    ]);
    expect::edges(
        &graph,
        &[
            ("A/Use.cs", "B/Shared.cs", "import", "the referenced project's type, not the other's"),
            ("A/Use.cs", "C/Deep.cs", "import", "references reach further"),
        ],
    );
}
