// Prints what javac resolves the names of a source tree to: a line "use FROM TO LINE NAME" for each
// name in FROM that means a type declared in the file TO of the same tree.
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.IdentifierTree;
import com.sun.source.tree.MemberSelectTree;
import com.sun.source.tree.Tree;
import com.sun.source.util.JavacTask;
import com.sun.source.util.TreePath;
import com.sun.source.util.TreePathScanner;
import com.sun.source.util.Trees;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import javax.lang.model.element.Element;
import javax.lang.model.element.TypeElement;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

public class Uses {
  public static void main(String[] arguments) throws IOException {
    Path root = Path.of(arguments[0]).toRealPath();
    List<Path> sources = new ArrayList<>();
    for (int at = 1; at < arguments.length; at++) {
      try (Stream<Path> all = Files.walk(root.resolve(arguments[at]))) {
        // A module would hide everything that is not on the module path.
        all.filter(path -> path.toString().endsWith(".java") && !path.endsWith("module-info.java")).sorted().forEach(sources::add);
      }
    }
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    StandardJavaFileManager files = compiler.getStandardFileManager(report -> {}, null, StandardCharsets.UTF_8);
    List<String> options = List.of("-proc:none", "-Xlint:none", "-Xmaxerrs", "1", "-encoding", "UTF-8", "-sourcepath", "");
    JavacTask task = (JavacTask) compiler.getTask(null, files, report -> {}, options, null, files.getJavaFileObjectsFromPaths(sources));
    List<CompilationUnitTree> units = new ArrayList<>();
    task.parse().forEach(units::add);
    task.analyze();
    Trees trees = Trees.instance(task);
    StringBuilder out = new StringBuilder();
    for (CompilationUnitTree unit : units) {
      String from = relative(root, unit);
      new TreePathScanner<Void, Void>() {
        @Override public Void visitIdentifier(IdentifierTree tree, Void none) {
          named(tree, tree.getName());
          return super.visitIdentifier(tree, none);
        }

        @Override public Void visitMemberSelect(MemberSelectTree tree, Void none) {
          named(tree, tree.getIdentifier());
          return super.visitMemberSelect(tree, none);
        }

        private void named(Tree tree, CharSequence name) {
          Element element = trees.getElement(getCurrentPath());
          // What the compiler adds (a default constructor's `super()`) has no place in the source.
          long start = trees.getSourcePositions().getStartPosition(unit, tree);
          long end = trees.getSourcePositions().getEndPosition(unit, tree);
          if (!(element instanceof TypeElement) || start < 0 || end <= start) {
            return;
          }
          TreePath declared = trees.getPath(element);
          if (declared != null && declared.getCompilationUnit() != unit) {
            long line = unit.getLineMap().getLineNumber(start);
            out.append("use\t").append(from).append('\t').append(relative(root, declared.getCompilationUnit()));
            out.append('\t').append(line).append('\t').append(name).append('\n');
          }
        }
      }.scan(unit, null);
      out.append("seen\t").append(from).append('\n');
    }
    System.out.print(out);
  }

  private static String relative(Path root, CompilationUnitTree unit) {
    return root.relativize(Path.of(unit.getSourceFile().toUri())).toString();
  }
}
