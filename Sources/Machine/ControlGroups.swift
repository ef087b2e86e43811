import Foundation

/// The control groups of this process, version 1 and 2, as folders below the mounted hierarchies.
///
/// A limit may be set on the group of the process or on any group above it, so each search goes upward to the root of
/// the mount. In a container only its own part of the hierarchy is mounted; then the mounted root is the container's
/// group, whatever the path in `/proc/self/cgroup`.
package struct ControlGroups {
    /// A group's folder.
    package struct Folder: Equatable {
        package let path: String
        /// True for version 2, whose groups have all controllers in one folder.
        package let isUnified: Bool

        /// The contents of a file of the group; nil if it cannot be read.
        func text(_ name: String) -> String? { try? String(contentsOfFile: path + "/" + name, encoding: .utf8) }

        /// A file with a single number.
        func number(_ name: String) -> Int? {
            text(name).flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
        }
    }

    /// A mounted hierarchy.
    private struct Mount {
        /// The group that is mounted.
        let root: String
        let point: String
        /// Controllers of version 1; nil for version 2.
        let controllers: Set<String>?
    }

    private let root: String
    private let mounts: [Mount]
    /// Path of the process's group by hierarchy: its controllers, or nil for version 2.
    private let paths: [(controllers: Set<String>?, path: String)]

    /// Reads the groups of this process.
    ///
    /// - Parameter root: The folder that contains `/proc` and `/sys`.
    package init(root: String = "") {
        self.root = root
        func lines(_ file: String) -> [Substring] {
            ((try? String(contentsOfFile: root + file, encoding: .utf8)) ?? "").split(separator: "\n")
        }
        // `4:cpu,cpuacct:/path`, and `0::/path` for version 2.
        paths = lines("/proc/self/cgroup").compactMap { line in
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 3 else { return nil }
            return (parts[1].isEmpty ? nil : Set(parts[1].split(separator: ",").map(String.init)), parts[2])
        }
        mounts = lines("/proc/self/mountinfo").compactMap(Self.mount)
    }

    /// A line of `mountinfo`: `36 35 0:32 ROOT POINT OPTIONS [TAGS] - TYPE SOURCE OPTIONS`; nil if it is no hierarchy.
    private static func mount(_ line: Substring) -> Mount? {
        let halves = line.split(separator: " - ", maxSplits: 1)
        guard halves.count == 2 else { return nil }
        let (before, after) = (halves[0].split(separator: " "), halves[1].split(separator: " "))
        guard before.count >= 5, let kind = after.first, ["cgroup", "cgroup2"].contains(kind) else { return nil }
        let options = after.count > 2 ? Set(after[2].split(separator: ",").map(String.init)) : []
        return Mount(
            root: unescaped(before[3]), point: unescaped(before[4]), controllers: kind == "cgroup2" ? nil : options)
    }

    /// A path of `mountinfo`, in which spaces and the like are octal.
    private static func unescaped(_ text: Substring) -> String {
        [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")].reduce(String(text)) {
            $0.replacing($1.0, with: $1.1)
        }
    }

    /// The groups that may limit this process through a controller such as `memory`: its own, then each above it.
    package func folders(_ controller: String) -> [Folder] {
        folders(of: { $0?.contains(controller) == true }, fallback: "/sys/fs/cgroup/\(controller)", isUnified: false)
            + folders(of: { $0 == nil }, fallback: "/sys/fs/cgroup", isUnified: true)
    }

    private func folders(
        of isWanted: (Set<String>?) -> Bool, fallback: String, isUnified: Bool
    ) -> [Folder] {
        guard let path = paths.first(where: { isWanted($0.controllers) })?.path else { return [] }
        let candidates = mounts.filter { isWanted($0.controllers) }
        // Without a list of mounts, the usual place.
        let mount =
            candidates.first { Self.remainder(of: path, below: $0.root) != nil } ?? candidates.first
            ?? Mount(root: "/", point: fallback, controllers: nil)
        var names = Self.remainder(of: path, below: mount.root) ?? []
        // `..` leads out of what a container may see.
        if names.contains("..") { names = [] }
        var folders: [Folder] = []
        while true {
            folders.append(
                Folder(path: ([root + mount.point] + names).joined(separator: "/"), isUnified: isUnified))
            guard !names.isEmpty else { return folders }
            names.removeLast()
        }
    }

    /// The names of a path below another; nil if it is not below it.
    private static func remainder(of path: String, below root: String) -> [String]? {
        let (names, above) = (path.split(separator: "/").map(String.init), root.split(separator: "/").map(String.init))
        guard names.starts(with: above) else { return nil }
        return Array(names.dropFirst(above.count))
    }
}
