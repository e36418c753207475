# Python over Fast DDS needs the C side of an interface. Its C++ side and the introspection would be
# more than half of the compiling.
list(FILTER AMENT_EXTENSIONS_rosidl_generate_idl_interfaces EXCLUDE REGEX "introspection|_cpp:")
