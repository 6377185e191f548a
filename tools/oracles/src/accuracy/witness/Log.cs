using System;
using System.Collections.Generic;
using System.IO;
using System.Reflection;
using Mono.CSharp;

/// What the compiler tells of each name it has resolved; `Weave` puts the calls into it. To the file
/// that the environment names goes a line "defines FILE" for each file that defines a type, a line
/// "seen FROM LINE" for each line with a name that means a type or a namespace, and a line "use FROM TO LINE NAME" for each name that means a type of the
/// compiled sources, once for each file that holds a part of it. A type with a part in the naming
/// file is that file's own.
public static class Log
{
    static readonly FieldInfo parts = typeof (TypeDefinition).GetField ("class_partial_parts", BindingFlags.NonPublic | BindingFlags.Instance);
    static readonly HashSet<string> written = new HashSet<string> ();
    static readonly TextWriter output = new StreamWriter (Environment.GetEnvironmentVariable ("USES")) { AutoFlush = true };

    public static void Name (Expression meaning, Expression name)
    {
        var from = name.Location.SourceFile;
        if (from == null || !(meaning is FullNamedExpression))
            return;

        Write ("seen", from.OriginalFullPathName, name.Location.Row);
        var type = meaning as TypeExpr;
        var definition = type == null || type.Type == null ? null : type.Type.MemberDefinition as TypeDefinition;
        if (definition == null)
            return;

        var files = Files (definition);
        if (files.Contains (from.OriginalFullPathName))
            return;

        foreach (var to in files)
            Write ("use", from.OriginalFullPathName, to, name.Location.Row, type.Type.Name);
    }

    public static void Type (TypeDefinition definition)
    {
        if (definition.Location.SourceFile != null)
            foreach (var file in Files (definition))
                Write ("defines", file);
    }

    static void Write (params object[] parts)
    {
        var line = string.Join ("\t", parts);
        if (written.Add (line))
            output.WriteLine (line);
    }

    /// The files with a part of a type.
    static SortedSet<string> Files (TypeDefinition definition)
    {
        var all = new List<TypeDefinition> { definition };
        all.AddRange ((List<TypeDefinition>) parts.GetValue (definition) ?? new List<TypeDefinition> ());
        var files = new SortedSet<string> ();
        foreach (var part in all)
            files.Add (part.Location.SourceFile.OriginalFullPathName);
        return files;
    }
}
